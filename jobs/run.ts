/**
 * `stasis run`: a command as a job that is saved again and again, and taken up from where it was when it is started
 * again.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";
import { readBootId } from "../core/linux/clocks.ts";
import { readStat, unlessGone } from "../core/linux/procfs/mod.ts";
import { syscall } from "../core/linux/libc_ffi.ts";
import { openPidfd } from "../core/linux/pidfd.ts";
import { SIG } from "../core/linux/signals.ts";
import { SYSCALLS } from "../core/linux/x86_64/syscalls.ts";
import { RestoredTree } from "../core/restore/restore.ts";
import {
  type Ending,
  type EventListener,
  findTaken,
  type OperationOptions,
  planRestore,
  restore,
  type RestorePlan,
  ShellTerminal,
  shellTerminalUse,
  waitAsJob,
} from "../mod.ts";
import { HandedOn } from "./handed_on.ts";
import { BEGINNING, JobFiles } from "./job_files.ts";
import { Keeper, type KeepSettings } from "./keep_saving.ts";
import { awaitDying, isStillThere, nameProcess } from "./process_name.ts";
import { requireProgram, startStopped, waitsToBegin } from "./program.ts";
import { ownEnd } from "./own_end.ts";
import { tellIfFails } from "./events.ts";
import type { Owner } from "./records.ts";
import { Requests } from "./requests.ts";
import { Store } from "./store.ts";

/** What is wanted. */
export interface RunRequest extends KeepSettings {
  /** The store. */
  readonly directory: string;
  readonly command: readonly [string, ...string[]];
  /** Whether a job that has ended is taken up, too. */
  readonly again: boolean;
  /** How it is taken up. */
  readonly restoreOptions: OperationOptions;
}

/** What has become of the job. */
export type RunOutcome =
  /** It has ended; or it had before. */
  | { readonly kind: "ended"; readonly ending: Ending }
  /** The same command line takes it up again. */
  | { readonly kind: "saved" };

/** A job that is about to run, or runs. */
interface Job {
  readonly tree: RestoredTree;
  /** Whether it has the terminal. */
  readonly hasTerminal: boolean;
}

/**
 * Runs a job.
 *
 * @throws {StasisError} where it cannot be begun or taken up: nothing of it is left then
 */
export async function runJob(request: RunRequest): Promise<RunOutcome> {
  const { command, tell } = request;
  const handedOn = new HandedOn();
  // First of all: whoever stops it now must not find it dead by the signal.
  using requests = new Requests(handedOn.take);
  const owner: Owner = { kind: "run", command, directory: Deno.cwd() };
  using store = Store.open(request.directory, owner);
  tellIfFails(tell, () => store.forgetUnmade());
  const end = store.end();
  if (end !== undefined && !request.again) {
    tell({ event: "not-taken-up", code: end.code, endedAt: end.at });
    return { kind: "ended", ending: { code: end.code } };
  }
  await endUnbegun(store);
  await refuseRunning(store);
  return await new Run(request, store, requests, handedOn).run();
}

/** One run of a job. */
class Run {
  readonly #request: RunRequest;
  readonly #store: Store;
  readonly #files: JobFiles;
  readonly #requests: Requests;
  readonly #handedOn: HandedOn;

  constructor(request: RunRequest, store: Store, requests: Requests, handedOn: HandedOn) {
    this.#request = request;
    this.#store = store;
    this.#requests = requests;
    this.#handedOn = handedOn;
    this.#files = new JobFiles(store, request.command, request.tell);
  }

  async run(): Promise<RunOutcome> {
    const requests = this.#requests;
    using terminal = ShellTerminal.open();
    const { latest } = this.#store.list();
    let job: Job;
    try {
      job = latest === undefined
        ? await this.#begin(terminal)
        : await this.#takeUp(latest, terminal);
    } catch (error) {
      // Nothing is lost: it has not begun, or is still where it was.
      const isStopped = requests.isToStop && asStasisError(error).code === "cancelled";
      if (isStopped) return { kind: "saved" };
      throw error;
    }
    const { tree, hasTerminal } = job;
    this.#handedOn.giveTo(tree, latest === undefined);
    using keeper = new Keeper(this.#store, tree, this.#keeping);
    const ending = terminal !== undefined && hasTerminal
      ? waitAsJob(tree, terminal, () => keeper.isSaving)
      : tree.wait();
    ending.then(() => requests.end(), () => requests.end());
    void this.#files.watch(tree.pid, () => requests.hasEnded, () => {
      // One that has just begun would do all over again.
      if (this.#store.list().checkpoints.length === 1) requests.save();
    });
    if (await keeper.whileItRuns(requests) === "ended") {
      const how = await ending;
      requests.look();
      return this.#concluded(how, requests.isToStop);
    }
    if (await keeper.saveLast(false)) {
      await ending;
      return { kind: "saved" };
    }
    // Whoever wants it to end gets that; it may have its own way to.
    tree.kill(SIG.TERM);
    tree.kill(SIG.CONT);
    return this.#concluded(await ending, true);
  }

  /** How the job is saved: what is known of files is noted in the moment that is saved. */
  get #keeping(): KeepSettings {
    const { listener, tell } = this.#request;
    return {
      ...this.#request,
      listener: (event) => {
        listener(event);
        if (event.kind !== "phase") return;
        if (event.phase === "survey") this.#files.begins();
        if (event.phase === "release") this.#files.runsOn();
      },
      tell: (event) => {
        tell(event);
        const isSaved = event.event === "saved" || event.event === "adopted";
        if (isSaved && !event.ended) this.#files.saved(event.checkpoint);
      },
    };
  }

  #cancelling(): AbortSignal {
    return AbortSignal.any([this.#requests.abortedByStop(), this.#handedOn.cancelled]);
  }

  /** Starts the command, and saves it before it does anything. */
  async #begin(terminal: ShellTerminal | undefined): Promise<Job> {
    const { command, restoreOptions, tell } = this.#request;
    requireProgram(command[0]);
    // It may have run before, when it could not be saved.
    this.#files.rollBack(BEGINNING, this.#files.judge(BEGINNING, undefined, restoreOptions));
    const pid = await startStopped(command, terminal === undefined ? "session" : "group");
    // It is waited for as one that was restored.
    const tree = new RestoredTree([pid], pid);
    try {
      this.#noteRunning(pid);
      terminal?.give({ group: pid, termios: undefined, size: undefined }, pid);
      using keeper = new Keeper(this.#store, tree, this.#keeping);
      await keeper.save(true, this.#cancelling());
    } catch (error) {
      const failure = asStasisError(error);
      if (failure.code !== "io" && failure.code !== "timeout") {
        tree.kill(SIG.KILL);
        await tree.wait();
        throw failure;
      }
      // A full disk stops no job.
      tell({ event: "not-saved", error: failure });
      // It is begun anew then, and its files are as they are now.
      this.#files.write();
    }
    tellIfFails(this.#request.tell, () => this.#forgetEnd());
    tell({ event: "started", pid });
    tree.kill(SIG.CONT);
    return { tree, hasTerminal: terminal !== undefined };
  }

  /** Restores the job, in a pid namespace of its own where its ids are taken. */
  async #takeUp(
    checkpoint: number,
    terminal: ShellTerminal | undefined,
  ): Promise<Job> {
    const { plugins, listener, restoreOptions, tell } = this.#request;
    const settings = { plugins, signal: this.#cancelling(), onEvent: listener };
    const planned = async (newPidNamespace: boolean): Promise<RestorePlan> =>
      await planRestore(this.#store.directoryOf(checkpoint), {
        ...settings,
        options: {
          ...restoreOptions,
          rollbackFiles: restoreOptions.rollbackFiles ?? true,
          manageCgroups: "ignore",
          newPidNamespace,
        },
      });
    let plan = await planned(false);
    const taken = () => findTaken(plan).flatMap(({ id, passes }) => passes ? [] : [id]);
    if ((await awaitDying(taken)).length > 0) {
      refuseLeftovers(plan, this.#store);
      plan = await planned(true);
    }
    const rollback = this.#files.judge(checkpoint, plan.images, restoreOptions);
    const use = shellTerminalUse(plan);
    const onEvent: EventListener = (event) => {
      listener(event);
      // Nobody may read a terminal that belongs to others still when the tree runs.
      const isToRun = event.kind === "phase" && event.phase === "run" && !plan.isApart;
      if (isToRun && use !== undefined) terminal?.give(use, plan.pid);
    };
    const tree = await restore(plan, {
      ...settings,
      onEvent,
      replan: () => planned(plan.isApart),
      beforeRun: (pid) => {
        this.#files.rollBack(checkpoint, rollback);
        this.#forgetEnd();
        this.#files.write();
        this.#noteRunning(pid);
      },
    });
    const { pid, innerPid } = tree;
    if (plan.isApart && use !== undefined) terminal?.giveTo(pid, use);
    tell({ event: "taken-up", checkpoint, pid, innerPid });
    // So it was saved before it began.
    if (unlessGone(() => readStat(pid).state, "X") === "T") continueGroup(pid);
    return { tree, hasTerminal: use !== undefined };
  }

  /** Has a job that had ended be one that has not: from here on nothing stands against it. @throws {StasisError} `io` */
  #forgetEnd(): void {
    if (this.#request.again) this.#store.forgetEnd();
  }

  #noteRunning(pid: number): void {
    tellIfFails(this.#request.tell, () => this.#store.noteRunning(nameProcess(pid)));
  }

  /** @param isStopped whether it ended because somebody wanted this command to end */
  #concluded(ending: Ending, isStopped: boolean): RunOutcome {
    const { tell } = this.#request;
    tell({ event: "ended", ...ending });
    if (isStopped && this.#store.list().latest !== undefined) return { kind: "saved" };
    const code = ownEnd(ending);
    // Nor has who ended because it was told to come to its end.
    if (code !== undefined && !isStopped && !this.#handedOn.isInterrupted) {
      tellIfFails(this.#request.tell, () => {
        this.#files.sync();
        this.#store.noteEnd({ code, at: new Date().toISOString() });
      });
    }
    return { kind: "ended", ending };
  }
}

/** Has a job go on that is stopped, with all in its group: a terminal stops them together. */
function continueGroup(pid: number): void {
  const leads = unlessGone(() => readStat(pid).pgrp === pid, false);
  syscall(SYSCALLS.kill, leads ? -pid : pid, SIG.CONT);
}

/** Ends a job that was started and has not begun: whoever was to let it begin was killed. It is begun anew. */
async function endUnbegun(store: Store): Promise<void> {
  const process = store.running();
  if (process === undefined) return;
  const { pid } = process;
  const end = () => {
    // After a reboot it may be a thread's, which has no such descriptor.
    if (!isStillThere(process)) return [];
    using pidfd = openPidfd(pid);
    // From here on the number is nobody else's.
    if (!isStillThere(process) || !waitsToBegin(pid)) return [];
    syscall(SYSCALLS.pidfd_send_signal, pidfd.fd, SIG.KILL, 0, 0);
    return [pid];
  };
  await awaitDying(() => unlessGone(end, []));
}

/** Refuses a store whose job still runs: whoever had started it was killed. @throws {StasisError} `conflict` */
async function refuseRunning(store: Store): Promise<void> {
  const process = store.running();
  if (process === undefined) return;
  const [pid] = await awaitDying(() => isStillThere(process) ? [process.pid] : []);
  if (pid === undefined) return;
  throw new StasisError("conflict", `the job still runs, as process ${pid}, and nobody saves it`, {
    pid,
    hint: isApart(pid)
      ? "end it, then it is taken up: in a pid namespace of its own it cannot be watched"
      : `have it saved again: stasis watch ${pid} -D ${store.path}; or end it, then it is taken up`,
  });
}

/** Whether a process has a pid namespace below this one. */
function isApart(pid: number): boolean {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/pid`) !== Deno.readLinkSync("/proc/self/ns/pid");
  } catch {
    return false; // it has gone, or nobody may look
  }
}

/**
 * Refuses to take a job up beside processes of its own: its root was killed, and they were not.
 *
 * @throws {StasisError} `conflict`
 */
function refuseLeftovers(plan: RestorePlan, store: Store): void {
  if (store.running()?.boot !== readBootId()) return;
  const left = plan.tasks.filter(({ pid, core }) =>
    unlessGone(() => {
      const { comm, state } = readStat(pid);
      return state !== "Z" && comm === core.tc?.comm;
    }, false)
  ).map(({ pid }) => pid);
  if (left.length === 0) return;
  throw new StasisError(
    "conflict",
    `processes of the job that is to be taken up are still there: ${left.join(", ")}`,
    {
      pid: left[0],
      hint:
        "end them, unless they are another's who has the same ids and names by chance: they would do everything a second time",
    },
  );
}
