/**
 * The survey: finds the tree, and gathers everything that cannot be saved, from the core and from every
 * plugin, before anything is touched. It runs once more on the frozen tree, which may have changed.
 *
 * @module
 */
import { type ErrorCode, type Problem, StasisError } from "../../base/errors.ts";
import { namedThread } from "../named_thread.ts";
import type { Cancellation } from "../cancellation.ts";
import type { Rescuer } from "../remote/undo.ts";
import { type Hooked, runHook } from "../hooks.ts";
import { sleep } from "../linux/libc_ffi.ts";
import {
  PF_KTHREAD,
  readChildren,
  readStatus,
  readTaskLink,
  requireOwnProc,
  unlessGone,
} from "../linux/procfs/mod.ts";
import type { CheckpointHooks } from "../plugin.ts";
import { pause } from "../linux/pause.ts";
import { findClaims } from "./claims.ts";
import { findInFlight } from "./in_flight.ts";
import { rootCauses } from "./root_causes.ts";
import { surveyTree } from "./survey_tree.ts";
import { Task } from "./task.ts";
import { leaderlessProblems } from "./leaderless.ts";
import { findMute } from "./mute_file_systems.ts";
import { describeVfork, isVfork, VFORK_HINT, VFORK_PATIENCE, vforkingThread } from "./vfork.ts";

/**
 * The tasks of the tree below a process, parents before children, zombies included.
 *
 * @param isToEnd whether it is to be ended when it is saved
 * @throws {StasisError} if the root cannot be checkpointed at all: it says why
 */
export function findTree(root: number, isToEnd: boolean): Task[] {
  requireOwnProc();
  const tasks = [findRoot(root, isToEnd)];
  const seen = new Set([root]);
  for (const task of tasks) {
    for (const pid of unlessGone(() => readChildren(task.pid), [])) {
      if (seen.has(pid)) continue;
      seen.add(pid);
      tasks.push(findTask(pid));
    }
    // One that ends meanwhile is looked at no more.
    unlessGone(() => checkAccess(task), undefined);
  }
  if (seen.has(Deno.pid)) {
    throw new StasisError(
      "unsupported",
      `task ${root} cannot be checkpointed: its tree has this tool`,
      {
        pid: root,
        hint: "run the tool from outside the tree, for example from another terminal",
      },
    );
  }
  return tasks;
}

/** @throws {StasisError} `no-privilege` where this process may not look into a task, as it must to save it */
function checkAccess(task: Task): void {
  if (task.isZombie) return;
  const { pid } = task;
  try {
    readTaskLink(pid, "ns/user", task.liveTid);
  } catch (error) {
    // A kernel may have no such namespaces, which is found out by who needs to know.
    if (!(error instanceof StasisError) || error.code !== "no-privilege") return;
    const { status: { uids }, stat: { comm } } = task;
    const { uids: own } = readStatus(Deno.pid);
    const what = uids.every((uid) => uid === own[1])
      ? "has more privileges than this process, or has forbidden it (prctl(PR_SET_DUMPABLE))"
      : `is of user ${uids.find((uid) => uid !== own[1])}, and this process of user ${own[1]}`;
    throw new StasisError(
      "no-privilege",
      `task ${pid} (${comm}) ${what}: it may not be looked into without CAP_SYS_PTRACE`,
      { pid, hint: "run the command as root (sudo), with all capabilities", cause: error },
    );
  }
}

/** How often the first process is looked at while threads of it come and go. */
const ROOT_LOOKS = 100;

function findRoot(root: number, isToEnd: boolean): Task {
  for (let looks = 1;; looks++) {
    const task = findTask(root);
    try {
      checkRoot(task, isToEnd);
      return task;
    } catch (error) {
      if (!(error instanceof StasisError) || error.code !== "no-such-task") throw error;
      // What it was looked at by may have been a thread that has the id of the first one by now: it executes programs.
      if (exists(root) && looks < ROOT_LOOKS) continue;
      throw new StasisError(error.code, error.message, {
        pid: root,
        hint: "it has ended, or its id is one of another pid namespace: ps shows those of this one",
        cause: error,
      });
    }
  }
}

/** How often a process whose first thread has ended is looked at, and how long after each look, in milliseconds. */
const LEADERLESS_LOOKS = 5, LEADERLESS_PAUSE = 1;

/**
 * A process that runs. One whose first thread seems to have ended may just be executing a program by another one, which
 * has the id of the first one, and none of its own, as soon as that is done.
 */
function findTask(pid: number): Task {
  for (let looks = 1;; looks++) {
    const task = new Task(pid);
    const passes = looks < LEADERLESS_LOOKS && unlessGone(() => task.isLeaderless, false);
    if (!passes) return task;
    pause(LEADERLESS_PAUSE);
  }
}

/** The first process of a pid namespace, in which every other one has it as an ancestor, or came from outside. */
const INIT = 1;

function checkRoot(task: Task, isToEnd: boolean): void {
  const { pid } = task;
  if (pid === Deno.pid) {
    throw new StasisError("unsupported", `task ${pid} is this tool itself`, {
      pid,
      hint: "name the process that is to be checkpointed",
    });
  }
  const { status, stat } = task;
  if (status.tgid !== pid) throw namedThread(pid, status.tgid, "checkpoint");
  if (pid === INIT && isToEnd) {
    // The kernel drops a SIGKILL from inside (sig_task_ignored() of kernel/signal.c); and if it did not, the
    // end of this process would end all others of the namespace, this tool too.
    throw new StasisError(
      "unsupported",
      `task ${pid} (${stat.comm}) is the init of this pid namespace, and cannot be ended from inside`,
      { pid, hint: "let it run on (--leave-running), or run the tool from outside the namespace" },
    );
  }
  if ((stat.flags & PF_KTHREAD) !== 0) {
    throw new StasisError("unsupported", `task ${pid} (${stat.comm}) is a kernel thread`, {
      pid,
      hint: "only user space can be checkpointed",
    });
  }
  if (task.isZombie) {
    throw new StasisError(
      "unsupported",
      `task ${pid} (${stat.comm}) is a zombie: it has ended and waits for its parent ${stat.ppid}`,
      { pid, hint: "there is nothing left to save" },
    );
  }
}

/** How often a running tree is looked at, at most. */
export const ATTEMPTS = 6;
/** How many looks in a row have to agree on what cannot be saved. */
const AGREEING = 3;
/**
 * How long a tree that is looked at once more is left alone before, in milliseconds, each time longer by as much:
 * what passes has passed, on a busy machine later.
 */
const PAUSE = 20;

/**
 * Lets the core and all plugins look at a running tree. What they read belongs to different moments: tasks
 * end meanwhile, a descriptor is closed and its number is that of another file. So a problem counts when it
 * is seen {@link AGREEING} times in a row, and where no looks agree, the survey of the frozen tree decides. A
 * thread that waits in vfork(2) has longer to come back ({@link VFORK_PATIENCE}).
 *
 * @returns the tasks as they were looked at last
 * @throws {StasisError} `unsupported` with all problems, if there are any
 */
export async function surveyRunning(
  root: number,
  isToEnd: boolean,
  plugins: readonly Hooked<CheckpointHooks>[],
  cancellation: Cancellation,
): Promise<readonly Task[]> {
  let last: StasisError | undefined;
  /** The problems that were seen each time, and how often. */
  let lasting: readonly Problem[] = [];
  let times = 0;
  const begin = performance.now();
  for (let attempt = 0; attempt < ATTEMPTS;) {
    try {
      const tasks = findTree(root, isToEnd);
      await survey(tasks, plugins, cancellation, { isToEnd });
      return tasks;
    } catch (error) {
      if (!(error instanceof StasisError) || !mayPass(error) || !exists(root)) throw error;
      const still = error.problems.filter((problem) => lasting.some(isSame(problem)));
      times = still.length > 0 ? times + 1 : 1;
      lasting = still.length > 0 ? still : error.problems;
      const waits = still.length > 0 && still.every(isVfork) &&
        performance.now() - begin < VFORK_PATIENCE;
      if (!waits) {
        if (still.length > 0 && times >= AGREEING) throw refuse(new Task(root), still);
        attempt++;
      }
      if (error.code === "syscall" && error.message === last?.message) throw error;
      last = error;
    }
    await sleep(PAUSE * Math.max(attempt, 1));
    cancellation.check();
  }
  return [];
}

/** Whether the next look may find nothing wrong any more. What is wrong with the root itself stays. */
function mayPass({ code, problems }: StasisError): boolean {
  return code === "no-such-task" || code === "syscall" ||
    (code === "unsupported" && problems.length > 0);
}

/** Whether a problem is the same as another one: of the same task, said by the same plugin in the same words. */
export function isSame(one: Problem): (other: Problem) => boolean {
  return (other) =>
    one.pid === other.pid && one.tid === other.tid && one.plugin === other.plugin &&
    one.what === other.what;
}

function exists(pid: number): boolean {
  try {
    return readStatus(pid).pid === pid;
  } catch {
    return false;
  }
}

/**
 * Lets the core and all plugins look at the tree.
 *
 * @param rescuer of a tree that stands still: is told how a change is undone
 * @param undo of a tree that stands still: gets what closes duplicates of descriptors in flight
 * @param isToEnd of one that runs: whether it is to be ended when it is saved
 * @throws {StasisError} `unsupported` with all problems, if there are any
 */
export async function survey(
  tasks: readonly Task[],
  plugins: readonly Hooked<CheckpointHooks>[],
  cancellation: Cancellation,
  { rescuer, undo, isToEnd = true }: {
    readonly rescuer?: Pick<Rescuer, "noteOutside" | "pids">;
    readonly undo?: DisposableStack;
    readonly isToEnd?: boolean;
  },
): Promise<void> {
  const frozen = rescuer !== undefined;
  const mute = findMute(tasks, cancellation);
  if (mute.length > 0) throw refuse(tasks[0] as Task, mute);
  const problems: Problem[] = [];
  const lacking: StasisError[] = [];
  /** What the kernel lacks is one reason among others. */
  const gather = async (plugin: string, look: () => unknown): Promise<void> => {
    try {
      await look();
    } catch (error) {
      if (!(error instanceof StasisError) || error.code !== "kernel-too-old") throw error;
      lacking.push(error);
      const { pid, message: what, hint } = error;
      problems.push({ pid, plugin: error.plugin ?? plugin, what, hint });
    }
  };
  const live: Task[] = [];
  for (const task of tasks) {
    await cancellation.breathe();
    try {
      if (task.isZombie) continue;
      surveyTask(task, frozen, problems);
      // A 32-bit task's other state would only add noise: it cannot be saved at all.
      live.push(task);
    } catch (error) {
      // A task that ends during the survey is no problem, unless it is the root.
      const ended = error instanceof StasisError && error.code === "no-such-task";
      if (!ended || frozen || task === tasks[0]) throw error;
    }
  }
  const root = tasks[0] as Task;
  // What it is when it stands still, the plan of its restore tells before it is ended.
  if (!frozen) {
    problems.push(...findVforks(live), ...surveyTree(tasks, isToEnd));
  }
  if (rescuer !== undefined && undo !== undefined) {
    await gather("core", () => findInFlight(live, plugins, rescuer, undo));
  }
  if (!plugins.some(({ hooks }) => hooks.suspendsFilters)) problems.push(...findFilters(live));
  for (const { plugin, hooks } of plugins) {
    if (hooks.survey === undefined) continue;
    const run = hooks.survey.bind(hooks);
    const problem = (one: Omit<Problem, "plugin">) =>
      void problems.push({ ...one, plugin: plugin.name });
    const context = { tasks: live, root, frozen, rescuer, problem };
    await gather(plugin.name, () => runHook(plugin, () => run(context)));
  }
  for (const task of live) {
    await cancellation.breathe();
    await gather("core", () => problems.push(...findClaims(task, plugins, cancellation)));
  }
  const [lack] = lacking;
  if (lack !== undefined && problems.length === 1) throw lack;
  if (problems.length > 0) {
    throw refuse(root, problems, problems.length === lacking.length ? lack?.code : undefined);
  }
}

function surveyTask(task: Task, frozen: boolean, problems: Problem[]): void {
  const { pid, liveTid } = task;
  if (task.isLeaderless) problems.push(...leaderlessProblems(task));
  if (isCompat(liveTid)) {
    problems.push({
      pid,
      plugin: "core",
      decisive: true,
      what: "it is a 32-bit (compat) program",
      hint: "only 64-bit x86-64 programs can be checkpointed",
    });
  }
  if (frozen) return;
  const { tracerPid } = task.status;
  if (tracerPid !== 0) {
    problems.push({
      pid,
      plugin: "core",
      what: `it is traced already, by task ${tracerPid} (${nameOf(tracerPid)})`,
      hint: "end the debugger, strace or other tracer first",
    });
  }
}

/** Threads whose calls are filtered, where no plugin sees to that: a filter may kill for an injected call. */
function findFilters(tasks: readonly Task[]): Problem[] {
  const problems: Problem[] = [];
  for (const task of tasks) {
    const { pid } = task;
    const tid = task.threads.find((tid) => isFiltered(task, tid));
    if (tid === undefined) continue;
    problems.push({
      pid,
      tid,
      plugin: "core",
      what: "its system calls are filtered (seccomp), and no plugin saves that",
      hint: "its filters would be lost, and may kill it for a call that is made in it",
    });
  }
  return problems;
}

function isFiltered(task: Task, tid: number): boolean {
  try {
    const { seccomp = 0 } = tid === task.liveTid ? task.status : readStatus(task.pid, tid);
    return seccomp !== 0;
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return false;
    throw error;
  }
}

/** Threads that wait in vfork(2) for a child. */
function findVforks(tasks: readonly Task[]): Problem[] {
  const found: Problem[] = [];
  const byPid = new Map(tasks.map((task) => [task.pid, task]));
  for (const { pid, stat: { ppid, comm } } of tasks) {
    const parent = byPid.get(ppid);
    const tid = parent && vforkingThread(ppid, parent.threads, pid);
    if (tid === undefined) continue;
    const what = `it ${describeVfork(pid, comm)}`;
    found.push({ pid: ppid, tid, plugin: "core", what, hint: VFORK_HINT });
  }
  return found;
}

function nameOf(pid: number): string {
  try {
    return readStatus(pid).name;
  } catch {
    return "gone";
  }
}

/**
 * Whether the executable is a 32-bit ELF file; the selector of its code segment is checked after the freeze.
 *
 * @param tid any thread
 */
function isCompat(tid: number): boolean {
  try {
    using file = Deno.openSync(`/proc/${tid}/exe`);
    const head = new Uint8Array(5);
    // Byte 4 of an ELF file is its class: 1 is 32-bit (elf(5)).
    return file.readSync(head) === 5 && head[0] === 0x7f && head[4] === 1;
  } catch {
    // Without a readable executable the freeze decides.
    return false;
  }
}

/** The error of a tree that cannot be saved, for all that was found. */
export function refuse(
  root: Task,
  all: readonly Problem[],
  code: ErrorCode = "unsupported",
): StasisError {
  const problems = rootCauses(all);
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new StasisError(
    code,
    `task ${root.pid} (${root.stat.comm}) cannot be checkpointed: ${count}`,
    { pid: root.pid, problems },
  );
}
