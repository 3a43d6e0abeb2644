/**
 * The build phase: the seed, the tree, and every stage's programs in every task. Until the tree is let
 * go any failure kills everything that was built.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import { present } from "../../images/present.ts";
import { StasisError } from "../../base/errors.ts";
import type { EventListener } from "../../base/events.ts";
import { collectGarbage } from "../garbage.ts";
import type { Cancellation } from "../cancellation.ts";
import { runHook } from "../hooks.ts";
import { readStat, unlessGone } from "../linux/procfs/mod.ts";
import { pause } from "../linux/pause.ts";
import { offsetAddress } from "../linux/address.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { signalBit } from "../linux/signals.ts";
import { PROGRAM_SYSCALL } from "../linux/x86_64/program_code.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { type Stage, STAGES } from "../plugin.ts";
import { type Tell, tellSteps } from "../remote/steps.ts";
import { SyscallProgram } from "../remote/program.ts";
import { RemoteTask } from "../remote/remote_task.ts";
import { type Run, type StartedRuns, throwIfFailed } from "../remote/started_runs.ts";
import { PTRACE_O, setOptions } from "../linux/ptrace.ts";
import { setMany, setOptionsOfMany } from "../linux/ptrace_many.ts";
import { stopAll } from "../remote/stop_all.ts";
import { finishStop } from "../remote/stop_thread.ts";
import type { Tracee } from "../remote/tracee.ts";
import type { ListedCall } from "../remote/undo.ts";
import type { BirthAction, Helper } from "./births.ts";
import type { BuiltTask } from "./built_task.ts";
import { addClone, CLONE } from "./clone.ts";
import { leaderEnd, planIdentity } from "./leader_end.ts";
import { openDead } from "./dead_tasks.ts";
import { endTree } from "./end_tree.ts";
import type { DeadTaskFile } from "./ghosts.ts";
import { handOver } from "./hand_over.ts";
import { type Keeper, startKeeper } from "./keeper.ts";
import { Maker } from "./maker.ts";
import { INIT, mountProc, NamespaceInit, TreeIds } from "./pid_namespace.ts";
import { type EndedPidfd, keepPidfds } from "./ended_pidfds.ts";
import type { RestorePlan } from "./plan.ts";
import type { ServiceFile } from "./plan_files.ts";
import { endSeed, openSeed, SEED_OPTIONS, startSeed } from "../remote/seed.ts";
import { isToBeStopped, stopTasks } from "./job_control.ts";
import { awaitStoppedAgain } from "../remote/job_control.ts";
import { prepareMemory } from "./seed_memory.ts";
import { sayWhoHasIds } from "./taken_ids.ts";
import { takingTurns } from "./turns.ts";
import type { UndoingCall } from "./undoing_call.ts";

const RLIMIT_CPU = 0;
/** How much CPU time the task that makes names may use: far more than it does. */
const LAST_SECONDS = 2n;
const WALL = 0x40000000;
const PR_SET_CHILD_SUBREAPER = 36;

/** A tree that is being built. Disposing of it kills everything. */
export class BuiltTree implements Disposable {
  /** The live tasks. */
  readonly tasks: BuiltTask[] = [];
  readonly #plan: RestorePlan;
  readonly #tell: Tell;
  readonly #serviceFiles: readonly ServiceFile[];
  readonly #cancellation: Cancellation;
  /** Everything that was born and lives, helpers and zombies to be included. */
  readonly #born = new Map<number, BuiltTask>();
  /** Tasks with the ids of those that are gone, as they are called here. */
  readonly #gone: number[] = [];
  /** What has made what would stay when all tasks are gone, if anything is to be made of that kind. */
  #maker: Maker | undefined;
  /** What the tasks are called here. */
  readonly #ids: TreeIds;
  /** The init of their pid namespace, if they have one of their own that needs it. */
  #init: NamespaceInit | undefined;
  #areToStop = false;
  #scratchSize = 0n;
  /** The end of the parked vDSO. */
  #parkedEnd = 0n;

  /**
   * @param directories what the seed gets beside the service files of the plan
   * @param cancellation is asked wherever it takes long
   * @param listener is told of each step
   */
  constructor(
    plan: RestorePlan,
    directories: readonly ServiceFile[],
    cancellation: Cancellation,
    listener: EventListener,
  ) {
    this.#plan = plan;
    this.#tell = tellSteps(listener);
    this.#serviceFiles = [...plan.serviceFiles, ...directories];
    this.#cancellation = cancellation;
    this.#ids = new TreeIds(plan.isApart);
  }

  /** What a task of the images is called here; undefined where it was not made. */
  pidOf(pid: number): number | undefined {
    return this.#born.get(pid)?.remote.pid;
  }

  /** The pids of the live tasks here, the root's first. */
  get pids(): number[] {
    return this.tasks.map(({ remote }) => remote.pid);
  }

  /** Builds it up to the last stage. */
  async build(): Promise<void> {
    this.#tell(`the seed: ${this.#plan.seed.calls.length} calls`, [this.#plan.seed]);
    this.#bearRoot();
    this.#bearTree();
    collectGarbage(this.#plan.tasks.length);
    await this.#cancellation.breathe();
    const groups = takingTurns(this.#plan.tasks).map((group) =>
      group.map(({ pid }) => this.#bornTask(pid))
    );
    for (const stage of STAGES.slice(1)) {
      if (stage === "seccomp_all") this.#endLeaders();
      const working: (Working | undefined)[] = [];
      const startNext = (rest: Turns): void => {
        const next = rest.next();
        if (next.done) return;
        const { task, programs } = next.value;
        this.#cancellation.check();
        const count = programs.reduce((sum, { program }) => sum + program.readonlyCalls.length, 0);
        this.#tell(
          `task ${task.pid}, ${stage}: ${count} calls`,
          programs.map(({ program }) => program),
        );
        working.push({ runs: task.remote.start(programs), rest });
      };
      for (const group of stage === "meet" ? [groups.flat()] : groups) {
        startNext(stageTurns(group, stage));
      }
      // The list grows while it is walked, and what has been walked is kept no longer.
      for (let at = 0; at < working.length; at++) {
        const { runs, rest } = working[at] as Working;
        working[at] = undefined;
        sayWhoHasIds(() => runs.finish());
        startNext(rest);
      }
      if (stage === "threads") {
        this.#takeThreads();
        stopTasks(this.tasks, ({ plan }) => plan?.ended === undefined);
      }
      if (stage === "close") this.#endGone();
      await this.#cancellation.breathe();
    }
  }

  /** The arm phase: scratch memory goes, then the plugins set what comes last. */
  arm(): void {
    for (const { pid, remote, threads, plan } of this.tasks) {
      // Of those that share memory the first takes it away for all: none of them runs there any more.
      if (plan?.memoryOwner === pid) this.#takeScratch(remote);
      for (const [tid, tracee] of threads) {
        this.#cancellation.check();
        const thread = plan?.thread(tid);
        if (thread === undefined) continue;
        const { core } = thread;
        // CRIU has a leader's mask in the task's part alone.
        tracee.signalMask = present(core.threadCore, "blkSigset") ?? core.tc?.blkSigset ?? 0n;
        for (const { plugin, hooks } of this.#plan.plugins) {
          runHook(plugin, () => hooks.armThread?.({ pid, tid, tracee, core }));
        }
      }
    }
  }

  /**
   * The call is made from the very memory that it takes away: its exit stop is the thread's last one there. A parked
   * vDSO that no plugin moved goes with it.
   */
  #takeScratch(remote: RemoteTask): void {
    const { start } = this.#plan.scratch;
    remote.instruction = offsetAddress(start, PROGRAM_SYSCALL);
    remote.call("munmap", start, this.#parkedEnd - start);
    remote.leader.settle();
  }

  /**
   * Sees to it that all goes if this process dies before the tree is to outlive it, and that nothing goes then.
   *
   * @param names what is to be undone before that
   * @param rest what is to be done all the same if it dies afterwards
   * @returns what ends that, when the tree runs or is gone; undefined where it needs nobody: one process dies whole
   */
  startKeeper(names: readonly UndoingCall[], rest: readonly ListedCall[]): Keeper | undefined {
    const undo = [...names, ...this.#maker?.undo ?? []];
    if (undo.length + rest.length === 0 && this.tasks.length === 1) return undefined;
    return startKeeper(this.pids, undo, rest);
  }

  /** Has the tree run on if this process dies from now on: it was dead with it until then. */
  outlive(keeper: Keeper): void {
    this.#leaveOthers();
    const threads = this.tasks.flatMap((task) => [...task.threads.values()]);
    for (const thread of threads) thread.settle();
    const tids = threads.map(({ tid }) => tid);
    // One that has been killed has none of it.
    setMany(tids, (index) => threads[index] as Tracee);
    this.#leaveStopped();
    setOptionsOfMany(tids, SEED_OPTIONS & ~PTRACE_O.EXITKILL);
    keeper.letLive();
  }

  /** Lets all threads go; the keeper knows from when on. Nothing can fail any more. */
  run(): void {
    this.#leaveOthers();
    this.#leaveStopped();
    // Those that are stopped are so before anybody can look.
    const stopped = this.tasks.filter(isToBeStopped);
    for (const task of stopped) letGo(task);
    for (const { threads } of stopped) {
      for (const { pid, tid } of threads.values()) awaitStoppedAgain(pid, tid);
    }
    for (const task of this.tasks) if (!isToBeStopped(task)) letGo(task);
    this.#born.clear();
  }

  /** Has each of them be stopped when it is let go of, whoever does that, if that is wanted. */
  #leaveStopped(): void {
    if (this.#plan.options.leaveStopped === true && !this.#areToStop) stopAll(this.pids);
    this.#areToStop = true;
  }

  /** Lets those go who are not of the tree; the keeper knows. */
  #leaveOthers(): void {
    this.#maker?.end();
    this.#maker = undefined;
    this.#init?.leave();
    this.#init = undefined;
  }

  /** Kills everything that was built, and reaps what is ours to reap. */
  [Symbol.dispose](): void {
    endTree([...this.#born.values()].map(({ remote }) => remote.pid));
    this.#endGone();
    // Its end is only told when all others of its namespace are gone.
    this.#init?.[Symbol.dispose]();
    this.#init = undefined;
    for (const { remote } of this.#born.values()) remote.memory[Symbol.dispose]();
    this.#born.clear();
    this.#maker?.[Symbol.dispose]();
    this.#maker = undefined;
  }

  /** Starts the seed, prepares it, and has it make the root. The seed is gone afterwards. */
  #bearRoot(): void {
    const plan = this.#plan;
    const tracee = startSeed(this.#cancellation);
    try {
      using remote = openSeed(tracee);
      // A script may have edited the plan since it was made.
      this.#scratchSize = plan.scratchSize();
      this.#parkedEnd = prepareMemory(remote, plan, this.#scratchSize);
      handOver(remote, plan, this.#serviceFiles);
      for (const pidfds of plan.ended.values()) bearEnded(remote, pidfds);
      this.#makeNames(remote);
      this.#runSeed(remote);
      if (!plan.birthplace.isEmpty) remote.run(plan.birthplace);
      if (plan.isApart && plan.pid !== INIT) this.#bearInit(remote);
      for (const [pid, files] of plan.deadTasks) this.#openDead(remote, pid, files);
      const birth = new SyscallProgram(`the birth of task ${plan.pid}`);
      const born = addClone(birth, plan.pid, CLONE.PARENT);
      let pid = 0;
      sayWhoHasIds(() => pid = Number(remote.run(birth).result(born)));
      this.#ids.note(plan.pid, pid);
      try {
        this.#takeBorn(plan.pid, pid);
      } catch (error) {
        // A child of this process that is in no list yet.
        endSeed(pid);
        throw error;
      }
      if (this.#init !== undefined) this.#init.watch(plan.pid);
      else if (plan.isApart) this.#bornTask(plan.pid).remote.run(mountProc());
    } finally {
      endSeed(tracee.pid);
    }
  }

  /** Has the seed make a task with the id of one that is gone, and open its files. */
  #openDead(seed: RemoteTask, pid: number, files: readonly DeadTaskFile[]): void {
    const birth = new SyscallProgram(`the birth of task ${pid}, which is gone`);
    const born = addClone(birth, pid, CLONE.PARENT);
    sayWhoHasIds(() => this.#gone.push(Number(seed.run(birth).result(born))));
    seed.run(openDead(pid, files));
  }

  /** Ends those: whoever works in the directory of one is there now. */
  #endGone(): void {
    for (const pid of this.#gone.splice(0)) endSeed(pid);
  }

  /** Has the seed make the init of the pid namespace that its children are born into: a child of its own, not of ours. */
  #bearInit(seed: RemoteTask): void {
    const birth = new SyscallProgram("the birth of the init");
    const born = addClone(birth, INIT, 0n);
    const pid = Number(seed.run(birth).result(born));
    this.#ids.note(INIT, pid);
    try {
      const tracee = finishStop(pid, pid, SEED_OPTIONS, this.#cancellation);
      if (tracee === undefined) throw killedAtBirth("the init", pid);
      const remote = this.#remoteOf(tracee);
      remote.run(mountProc());
      this.#init = new NamespaceInit(remote);
    } catch (error) {
      endSeed(pid);
      throw error;
    }
  }

  /** Runs the seed's stage; in a task of its own if that makes something that would stay. */
  #runSeed(seed: RemoteTask): void {
    const { seed: program, removals } = this.#plan;
    if (program.isEmpty) return;
    if (removals.length === 0) {
      seed.run(program);
      return;
    }
    const tracee = this.#bearTwin(seed, "the task that makes what stays", undefined);
    try {
      this.#maker = new Maker(this.#remoteOf(tracee), removals);
    } catch (error) {
      endSeed(tracee.pid);
      throw error;
    }
    this.#maker.make(program);
    this.#cancellation.check();
  }

  /** Has the seed make a task that has its descriptors and its memory's contents. */
  #bearTwin(seed: RemoteTask, who: string, cancellation: Cancellation | undefined): Tracee {
    const birth = new SyscallProgram(`the birth of ${who}`);
    const born = addClone(birth, undefined, CLONE.PARENT | CLONE.FILES | CLONE.FS);
    const pid = Number(seed.run(birth).result(born));
    try {
      const tracee = finishStop(pid, pid, SEED_OPTIONS, cancellation);
      if (tracee === undefined) throw killedAtBirth(who, pid);
      return tracee;
    } catch (error) {
      endSeed(pid);
      throw error;
    }
  }

  /**
   * Has a task with the seed's descriptors make the names that are there for a moment only. It does not die with
   * this process, as all others do: so it comes to its end, where the names are gone.
   */
  #makeNames(seed: RemoteTask): void {
    const { names } = this.#plan;
    if (names.program.isEmpty) return;
    const tracee = this.#bearTwin(seed, "the task that makes names", this.#cancellation);
    const { pid } = tracee;
    try {
      using maker = this.#remoteOf(tracee);
      // Behind its last call it waits for this process; if that is dead, for the end of this time.
      syscall(SYSCALLS.prlimit64, pid, RLIMIT_CPU, limitsOf(LAST_SECONDS), 0);
      setOptions(pid, SEED_OPTIONS & ~PTRACE_O.EXITKILL);
      const [reply] = maker.start([{ thread: tracee, program: names.program }]).replies();
      if (reply?.failed === undefined) return;
      maker.run(names.undo(reply.failed));
      throwIfFailed(reply, pid);
    } finally {
      endSeed(pid);
    }
  }

  /** Has every task make its children, join its group, and those end that are to end. */
  #bearTree(): void {
    const { births, zombies } = this.#plan;
    for (const [pid, actions] of births.births) this.#act(pid, actions);
    for (const [pid, action] of births.groups) this.#act(pid, [action]);
    for (const helper of births.helpers) this.#endHelper(helper);
    for (const [pid, core] of zombies) this.#end(pid, core);
    for (const { pid, signal } of births.told) this.#takeBack(pid, signal);
    for (const plan of this.#plan.tasks) {
      const built = this.#bornTask(plan.pid);
      const task = { ...built, plan };
      this.#born.set(plan.pid, task);
      this.tasks.push(task);
      this.#greet(task, task.pid);
    }
  }

  #act(pid: number, actions: readonly BirthAction[]): void {
    let together: BirthAction[] = [];
    for (const action of actions) {
      const before = this.#plan.beforeAction(pid, action);
      if (before !== undefined) {
        this.#actAtOnce(pid, together);
        together = [];
        this.#cancellation.check();
        this.#bornTask(pid).remote.run(before);
      }
      together.push(action);
      const after = this.#plan.afterAction(pid, action);
      if (after === undefined) continue;
      this.#actAtOnce(pid, together);
      together = [];
      this.#bornTask(pid).remote.run(after);
    }
    this.#actAtOnce(pid, together);
  }

  #actAtOnce(pid: number, actions: readonly BirthAction[]): void {
    if (actions.length === 0) return;
    this.#cancellation.check();
    sayWhoHasIds(() => this.#bornTask(pid).remote.run(this.#plan.birthProgram(pid, actions)));
    const { remote } = this.#bornTask(pid);
    for (const action of actions) {
      if (action.kind !== "clone") continue;
      this.#takeBorn(action.pid, this.#ids.ofChild(action.pid, remote.pid, action.sibling));
    }
  }

  /** Lets the plugins see a thread that has just been born. */
  #greet({ pid, threads, plan }: BuiltTask, tid: number): void {
    const tracee = threads.get(tid) as Tracee;
    const core = plan?.thread(tid)?.core;
    if (core === undefined) return;
    for (const { plugin, hooks } of this.#plan.plugins) {
      runHook(plugin, () => hooks.bornThread?.({ pid, tid, tracee, core }));
    }
  }

  /** @param here what it is called here */
  #takeBorn(pid: number, here: number): void {
    const tracee = finishStop(here, here, SEED_OPTIONS, this.#cancellation);
    if (tracee === undefined) {
      throw killedAtBirth(`task ${pid}`, pid);
    }
    this.#born.set(pid, { pid, remote: this.#remoteOf(tracee), threads: new Map([[pid, tracee]]) });
  }

  /** Calls in a task that has just been born, with the scratch memory that it has inherited. */
  #remoteOf(tracee: Tracee): RemoteTask {
    const { scratch } = this.#plan;
    const instruction = offsetAddress(scratch.start, PROGRAM_SYSCALL);
    const pid = this.#ids.inner(tracee.pid);
    const tid = (here: number) => this.#ids.inner(here);
    const remote = new RemoteTask(tracee, [], instruction, { pid, tid });
    remote.adoptScratch(scratch.start, this.#scratchSize);
    return remote;
  }

  #bornTask(pid: number): BuiltTask {
    const task = this.#born.get(pid);
    if (task === undefined) throw new StasisError("internal", `task ${pid} was not born`, { pid });
    return task;
  }

  /** Ends a helper, and has those adopted that it has borne. */
  #endHelper({ pid, parent, adopter }: Helper): void {
    const adopt = (on: number): void => {
      if (adopter === undefined) return;
      const program = new SyscallProgram(`adoption by task ${adopter}`);
      program.call("prctl", PR_SET_CHILD_SUBREAPER, on, 0, 0, 0);
      this.#bornTask(adopter).remote.run(program);
    };
    adopt(1);
    this.#end(pid, undefined);
    const reap = new SyscallProgram(`reaping helper ${pid}`);
    reap.call("wait4", pid, 0, WALL, 0);
    this.#bornTask(parent).remote.run(reap);
    adopt(0);
  }

  /** Ends a helper, or a zombie as its image says, and takes its end as its tracer. */
  #end(pid: number, core: core_entry | undefined): void {
    const { remote, threads } = this.#bornTask(pid);
    const status = core?.tc?.exitCode ?? 0;
    const signal = status & 0x7f;
    const program = new SyscallProgram(`the end of task ${pid}`);
    planIdentity(program, core);
    // A core file was written when it died the first time.
    program.call("prlimit64", 0, 4, new Uint8Array(16), 0);
    if (signal === 0) program.call("exit_group", (status >> 8) & 0xff);
    else {
      const mask = ~signalBit(signal) & ((1n << 64n) - 1n);
      const blocked = new Uint8Array(BigUint64Array.of(mask).buffer);
      program.call("rt_sigprocmask", 2, blocked, 0, 8);
      program.call("kill", pid, signal);
    }
    remote.startAndForget(program);
    threads.get(pid)?.awaitDeath(signal);
    remote.memory[Symbol.dispose]();
    this.#born.delete(pid);
    this.#ids.forget(remote.pid);
  }

  /** Takes the signal that a zombie's end has queued in its parent. (SIGCHLD the plugin "signals" takes.) */
  #takeBack(pid: number, signal: number): void {
    const program = new SyscallProgram(`taking signal ${signal} back`);
    const set = new Uint8Array(BigUint64Array.of(signalBit(signal)).buffer);
    program.try("rt_sigtimedwait", set, 0, new Uint8Array(16), 8);
    this.#bornTask(pid).remote.run(program);
  }

  /** Has those first threads end that do not live, children's before their parents'. */
  #endLeaders(): void {
    for (const task of [...this.tasks].reverse()) {
      const { pid, plan, remote, threads } = task;
      if (plan?.ended === undefined) continue;
      const { thread: { core }, thread, status } = plan.ended;
      const signals = thread.planned("signals");
      if (signals !== undefined) remote.run(signals);
      threads.delete(pid);
      remote.replaceLeader(leaderEnd(core, status), [...threads.values()][0] as Tracee);
      awaitLeaderEnd(remote.pid, this.#cancellation);
      // One that is stopped does not come to its end.
      stopTasks(this.tasks, (one) => one === task);
    }
  }

  #takeThreads(): void {
    for (const task of this.tasks) {
      const { pid, plan, threads, remote } = task;
      const take = (tid: number): Tracee => {
        const here = this.#ids.ofThread(tid, remote.pid);
        const tracee = finishStop(here, remote.pid, SEED_OPTIONS, this.#cancellation);
        if (tracee !== undefined) return tracee;
        throw killedAtBirth(`thread ${tid} of task ${pid}`, pid);
      };
      for (const { tid } of plan?.madeThreads ?? []) threads.set(tid, take(tid));
      for (const tid of plan?.endedThreads ?? []) endThread(task, take(tid));
      for (const tid of threads.keys()) if (tid !== task.pid) this.#greet(task, tid);
    }
  }
}

/** Lets go of a task as it is now, for good. */
function letGo({ threads, remote }: BuiltTask): void {
  for (const tracee of threads.values()) tracee.release();
  remote.memory[Symbol.dispose]();
}

/** Waits until a first thread that was let go of has ended. @param pid its process here */
function awaitLeaderEnd(pid: number, cancellation: Cancellation): void {
  while (!unlessGone(() => ["Z", "X"].includes(readStat(pid, pid).state), true)) {
    cancellation.check();
    pause(0.05);
  }
}

/** Ends a thread, and takes its end as its tracer. */
function endThread({ remote }: BuiltTask, thread: Tracee): void {
  const program = new SyscallProgram(`the end of thread ${thread.tid}`);
  program.call("exit", 0);
  remote.start([{ thread, program }]);
  thread.awaitDeath(0);
}

/** A limit, soft and hard. */
function limitsOf(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value, value).buffer);
}

/** What tasks that take turns do in a stage: each what threads of one of them do at the same time. */
type Turns = Iterator<{ readonly task: BuiltTask; readonly programs: readonly Run[] }>;

/** Programs that run, and what their tasks do next. */
interface Working {
  readonly runs: StartedRuns;
  readonly rest: Turns;
}

function* stageTurns(group: readonly BuiltTask[], stage: Stage): Turns {
  for (const task of group) {
    for (const lot of task.plan?.lotsIn(stage) ?? []) {
      const programs = lot.map((thread) => ({
        program: thread.planned(stage) as SyscallProgram,
        thread: task.threads.get(thread.tid) as Tracee,
      }));
      yield { task, programs };
    }
  }
}

/** Nothing that is built dies by itself: somebody, or the kernel for want of memory, has killed it. */
function killedAtBirth(who: string, pid: number): StasisError {
  return new StasisError("no-such-task", `${who} was killed at its birth`, {
    pid,
    hint: "try again; the kernel's log says whether it had too little memory",
  });
}

/** Has the seed make a task that ends at once, and keep pidfds of it. */
function bearEnded(seed: RemoteTask, pidfds: readonly EndedPidfd[]): void {
  const birth = new SyscallProgram("the birth of a task that ends");
  const born = addClone(birth, undefined, CLONE.PARENT);
  const pid = Number(seed.run(birth).result(born));
  try {
    seed.run(keepPidfds(pid, pidfds));
  } finally {
    endSeed(pid);
  }
}
