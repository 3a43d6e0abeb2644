/**
 * `stasis run`: a command as a job that is saved again and again, and taken up from where it was when it is started
 * again.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";
import { readBootId } from "../core/linux/clocks.ts";
import { cutFile } from "../core/linux/files.ts";
import { readStat, unlessGone } from "../core/linux/procfs/mod.ts";
import { SIG } from "../core/linux/signals.ts";
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
import { filesBeingWritten, grownFiles, LengthsBefore, type NewFile } from "./new_files.ts";
import { Keeper, type KeepSettings } from "./keep_saving.ts";
import { awaitDying, isStillThere, nameProcess } from "./process_name.ts";
import { requireProgram, startStopped } from "./program.ts";
import type { Owner } from "./records.ts";
import { Requests } from "./requests.ts";
import { Store } from "./store.ts";
import { commonStreams } from "./streams.ts";

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

/** How often a job is looked at, and for how long often, in milliseconds. */
const OFTEN = 10, SELDOM = 200, SOON = 3000;
/** How many times as long as a look has taken it is not looked at. */
const SPARING = 50;

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
  const owner: Owner = { kind: "run", command, directory: Deno.cwd() };
  using store = Store.open(request.directory, owner);
  const end = store.end();
  if (end !== undefined) {
    if (!request.again) {
      tell({ event: "not-taken-up", code: end.code, endedAt: end.at });
      return { kind: "ended", ending: { code: end.code } };
    }
    store.forgetEnd();
  }
  await refuseRunning(store);
  return await new Run(request, store).run();
}

/** One run of a job. */
class Run {
  readonly #request: RunRequest;
  readonly #store: Store;
  /** Aborted where a signal ends this command before the job runs. */
  readonly #cancelled = new AbortController();
  #job: Job | undefined;
  /** The latest checkpoint, and what was known of files in the moment that it saves. */
  #checkpoint = 0;
  #before: LengthsBefore | undefined;
  /** Files that it has opened since, or would make. */
  #newFiles: readonly NewFile[] = [];
  /** Whether the job was sent a signal that ends programs. */
  #isInterrupted = false;

  constructor(request: RunRequest, store: Store) {
    this.#request = request;
    this.#store = store;
  }

  async run(): Promise<RunOutcome> {
    using requests = new Requests((signal) => this.#handOn(signal));
    using terminal = ShellTerminal.open();
    const { latest } = this.#store.list();
    try {
      this.#job = latest === undefined
        ? await this.#begin(requests, terminal)
        : await this.#takeUp(latest, requests, terminal);
    } catch (error) {
      // Nothing is lost: it has not begun, or is still where it was.
      const isStopped = requests.isToStop && asStasisError(error).code === "cancelled";
      if (isStopped) return { kind: "saved" };
      throw error;
    }
    const { tree, hasTerminal } = this.#job;
    using keeper = new Keeper(this.#store, tree, this.#keeping);
    const ending = terminal !== undefined && hasTerminal
      ? waitAsJob(tree, terminal, () => keeper.isSaving)
      : tree.wait();
    ending.then(() => requests.end(), () => requests.end());
    this.#watchFiles(tree.pid, requests).catch((error) =>
      // The job is none the worse.
      this.#request.tell({ event: "failed", error: asStasisError(error) })
    );
    if (await keeper.whileItRuns(requests) === "ended") {
      return this.#concluded(await ending, requests.isToStop);
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

  /** Takes note of files that the job opens; saves one that has just begun as soon as it writes one. */
  async #watchFiles(pid: number, requests: Requests): Promise<void> {
    const begun = performance.now();
    while (!requests.isOver) {
      const at = performance.now();
      const seen = filesBeingWritten(pid, new Set(commonStreams(pid))).flatMap((path) => {
        const length = this.#before?.of(path);
        return length === undefined ? [] : [{ path, length }];
      });
      if (seen.some(({ path }) => !this.#newFiles.some((one) => one.path === path))) {
        this.#noteNewFiles([...this.#newFiles, ...seen]);
        if (this.#store.list().checkpoints.length === 1) requests.save();
      }
      const now = performance.now();
      const pause = Math.max(now - begun < SOON ? OFTEN : SELDOM, SPARING * (now - at));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  #noteNewFiles(files: readonly NewFile[]): void {
    this.#newFiles = [...new Map(files.map((file) => [file.path, file])).values()];
    try {
      this.#store.noteNewFiles({ checkpoint: this.#checkpoint, files: this.#newFiles });
    } catch (error) {
      this.#request.tell({ event: "failed", error: asStasisError(error) });
    }
  }

  /** How the job is saved: what is known of files is noted in the moment that is saved. */
  get #keeping(): KeepSettings {
    const { listener, tell, command } = this.#request;
    let still: LengthsBefore | undefined;
    return {
      ...this.#request,
      listener: (event) => {
        listener(event);
        if (event.kind !== "phase") return;
        // It stands still, and runs on next.
        if (event.phase === "release") still = new LengthsBefore(command);
      },
      tell: (event) => {
        tell(event);
        if (event.event !== "saved" || event.ended) return;
        this.#checkpoint = event.checkpoint;
        this.#before = still ?? new LengthsBefore(command);
        still = undefined;
        this.#noteNewFiles(this.#before.missing);
      },
    };
  }

  #handOn(signal: number): void {
    if (this.#job === undefined) return this.#cancelled.abort();
    if (signal !== SIG.USR2) this.#isInterrupted = true;
    this.#job.tree.kill(signal);
  }

  #cancelling(requests: Requests): AbortSignal {
    return AbortSignal.any([requests.abortedByStop(), this.#cancelled.signal]);
  }

  /** Starts the command, and saves it before it does anything. */
  async #begin(requests: Requests, terminal: ShellTerminal | undefined): Promise<Job> {
    const { command, tell } = this.#request;
    requireProgram(command[0]);
    const pid = await startStopped(command, terminal === undefined ? "session" : "group");
    // It is waited for as one that was restored.
    const tree = new RestoredTree([pid], pid);
    try {
      this.#noteRunning(pid);
      terminal?.give({ group: pid, termios: undefined, size: undefined }, pid);
      using keeper = new Keeper(this.#store, tree, this.#keeping);
      await keeper.save(true, this.#cancelling(requests));
    } catch (error) {
      const failure = asStasisError(error);
      if (failure.code !== "io" && failure.code !== "timeout") {
        tree.kill(SIG.KILL);
        await tree.wait();
        throw failure;
      }
      // A full disk stops no job.
      tell({ event: "not-saved", error: failure });
    }
    tell({ event: "started", pid });
    tree.kill(SIG.CONT);
    return { tree, hasTerminal: terminal !== undefined };
  }

  /** Restores the job, in a pid namespace of its own where its ids are taken. */
  async #takeUp(
    checkpoint: number,
    requests: Requests,
    terminal: ShellTerminal | undefined,
  ): Promise<Job> {
    const { plugins, listener, restoreOptions, tell } = this.#request;
    const settings = { plugins, signal: this.#cancelling(requests), onEvent: listener };
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
      beforeRun: (pid) => {
        this.#cutNewFiles(checkpoint);
        this.#noteRunning(pid);
      },
    });
    const { pid, innerPid } = tree;
    if (plan.isApart && use !== undefined) terminal?.giveTo(pid, use);
    tell({ event: "taken-up", checkpoint, pid, innerPid });
    // So it was saved before it began.
    if (unlessGone(() => readStat(pid).state, "X") === "T") tree.kill(SIG.CONT);
    return { tree, hasTerminal: use !== undefined };
  }

  /** Cuts back what the job wrote of which its checkpoint does not know. @throws {StasisError} `io` */
  #cutNewFiles(checkpoint: number): void {
    const { restoreOptions, command, tell } = this.#request;
    const noted = this.#store.newFiles();
    const files = noted?.checkpoint === checkpoint ? noted.files : [];
    for (
      const { path, length } of restoreOptions.rollbackFiles === false ? [] : grownFiles(files)
    ) {
      cutFile(path, BigInt(length));
      const text = `${path} is cut back to ${length} bytes, as at the checkpoint`;
      tell({ event: "note", text });
    }
    this.#checkpoint = checkpoint;
    this.#before = new LengthsBefore(command, files);
    this.#noteNewFiles([...files, ...this.#before.missing]);
  }

  #noteRunning(pid: number): void {
    try {
      this.#store.noteRunning(nameProcess(pid));
    } catch (error) {
      this.#request.tell({ event: "failed", error: asStasisError(error) });
    }
  }

  /** @param isStopped whether it ended because somebody wanted this command to end */
  #concluded(ending: Ending, isStopped: boolean): RunOutcome {
    const { tell } = this.#request;
    tell({ event: "ended", ...ending });
    if (isStopped && this.#store.list().latest !== undefined) return { kind: "saved" };
    const { code } = ending;
    // Who was killed has not come to its end, nor who ended because it was told to.
    if (code !== undefined && !isStopped && !this.#isInterrupted) {
      try {
        this.#store.noteEnd({ code, at: new Date().toISOString() });
      } catch (error) {
        tell({ event: "failed", error: asStasisError(error) });
      }
    }
    return { kind: "ended", ending };
  }
}

/** Refuses a store whose job still runs: whoever had started it was killed. @throws {StasisError} `conflict` */
async function refuseRunning(store: Store): Promise<void> {
  const process = store.running();
  if (process === undefined) return;
  const [pid] = await awaitDying(() => isStillThere(process) ? [process.pid] : []);
  if (pid === undefined) return;
  throw new StasisError("conflict", `the job still runs, as process ${pid}, and nobody saves it`, {
    pid,
    hint:
      `have it saved again: stasis watch ${pid} -D ${store.path}; or end it, then it is taken up`,
  });
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
    { pid: left[0], hint: "end them: they would do everything a second time" },
  );
}
