/**
 * Stopping one process while its threads go on: they make others, end, end all others, or execute a program.
 *
 * What the kernel does to a tracer when one of several threads executes a program (`de_thread()` of
 * `fs/exec.c`, "execve(2) under ptrace" in ptrace(2)):
 *
 * 1. All other threads are killed. Those that are traced stay zombies until their tracer reaps them, and
 *    until then the execve does not go on, nor does a PTRACE_SEIZE of any thread of the process return.
 * 2. The first thread is a zombie for a moment, whose end is told to nobody. Then the thread that executes takes
 *    its id, and its own is gone without a word: a tracer of both finds the one replaced and the other absent.
 * 3. With PTRACE_O_TRACEEXEC it stops, under its new id, before the program's first instruction.
 *
 * So all that was known of the process's threads is dropped then, and it is stopped once more. Nothing has been
 * read of it yet but registers, masks and signals, and no plugin has seen it: the survey of the frozen tree and
 * all that follows see the new program alone.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { Errno } from "../linux/errno.ts";
import { readChildren, readStat, readStatus, readTasks, unlessGone } from "../linux/procfs/mod.ts";
import { interrupt, PTRACE_O, standsStill, type Stop } from "../linux/ptrace.ts";
import {
  findRestless,
  nextStops,
  readStates,
  SEIZED_AT_ONCE,
  seizeMany,
  type ThreadState,
} from "../linux/ptrace_many.ts";
import { detachAsked } from "../remote/detach.ts";
import { pause } from "../linux/pause.ts";
import { isDeadChild, isTracedHere } from "../remote/reap.ts";
import { afterStop, cannotStop, cannotTrace, type Look, lookAt } from "../remote/stop_thread.ts";
import type { Tracee } from "../remote/tracee.ts";
import { describeVfork, FROZEN_VFORK_PATIENCE, VFORK_HINT, vforkingThread } from "./vfork.ts";

const OPTIONS = PTRACE_O.TRACESYSGOOD | PTRACE_O.TRACEEXEC;

/** How often a process may execute a program while it is being stopped. */
const MOST_PROGRAMS = 20;
/** How often a thread may refuse to be traced and not say why, before it is believed: it may just be ending. */
const MOST_REFUSALS = 5;

/** Stops the threads of one process. While it works there must be `Interruptions`. */
export class ProcessStopper {
  /** The process. */
  readonly pid: number;
  /** The threads that stand still, by their tids. */
  readonly tracees: ReadonlyMap<number, Tracee>;
  readonly #tracees = new Map<number, Tracee>();
  /** Threads that were asked to stop and have not been seen to. A failure must not leave them behind. */
  readonly #asked = new Set<number>();
  /** How often threads refused to be traced, by tid. */
  readonly #refusals = new Map<number, number>();
  readonly #taken: Tracee[];
  readonly #cancellation: Cancellation;
  readonly #onStop: (tracee: Tracee) => void;
  #programs = 0;

  /**
   * @param undo gets what lets go of threads that have been asked to stop and have not been seen to
   * @param taken gets every thread that has stopped, to be released in the end
   * @param onStop is told of it then
   */
  constructor(
    pid: number,
    undo: DisposableStack,
    taken: Tracee[],
    cancellation: Cancellation,
    onStop: (tracee: Tracee) => void,
  ) {
    this.pid = pid;
    this.#onStop = onStop;
    this.#cancellation = cancellation;
    this.tracees = this.#tracees;
    this.#taken = taken;
    undo.defer(() => this.#asked.forEach((tid) => detachAsked(tid, pid)));
  }

  /**
   * Stops the threads that run still, until a look at all of them finds none. A process that is gone has none.
   *
   * @returns whether there were any
   * @throws {StasisError} `unsupported` if it cannot be stopped, `timeout` if not in time; `no-privilege`,
   * `cancelled`
   */
  stop(): boolean {
    let any = false;
    for (;;) {
      if (this.#asked.size === 0) {
        const anyLost = this.#dropLost();
        // Without the first one, only a listing tells that it has ended.
        if (this.#tracees.has(this.pid) && !anyLost && this.#hasAll()) return any;
        const complete = this.#seizeAll();
        if (this.#asked.size === 0 && complete && !anyLost) {
          if (this.#tracees.size > 0 ? this.#hasAll() : hasEnded(this.pid)) return any;
          // The first thread is a zombie, and another one about to take its place; or the listing has broken off.
          pause(0.1);
        }
      }
      if (this.#asked.size > 0) {
        any = true;
        this.#awaitStops();
      }
      this.#cancellation.throwIfCancelled();
      if (this.#cancellation.isLate) throw this.#restless();
    }
  }

  /** @returns whether all threads that are there are traced now */
  #seizeAll(): boolean {
    const { pid } = this;
    // A listing lacks what a thread that has just ended made before, and may break off at such a one
    // (next_tid() of fs/proc/base.c).
    let complete = true;
    const news = threadsOf(pid).filter((tid) => !this.#tracees.has(tid) && !this.#asked.has(tid));
    for (let at = 0; at < news.length; at += SEIZED_AT_ONCE) {
      this.#cancellation.throwIfCancelled();
      for (const [tid, seized] of this.#seize(news.slice(at, at + SEIZED_AT_ONCE))) {
        if (seized === -Errno.EINTR) {
          // A thread is in execve(2), and waits until those that it has ended are reaped: now. One that this
          // process has let go of, and that was ending then, may be among them.
          this.#dropLost();
          this.#adoptTraced();
          return false;
        } else if (seized === -Errno.ESRCH) {
          complete = false;
        } else if (isDeadChild(tid)) {
          // It is traced still, until whoever started it here has reaped it.
        } else if (isTracedHere(pid, tid)) {
          // Another thread, seized already, has taken this id by execve(2).
          this.#asked.add(tid);
        } else if (isZombie(pid, tid)) {
          // A thread that has ended cannot be seized, and need not be. The first one may stay so for long.
          if (tid !== pid) complete = false;
        } else {
          this.#noteRefusal(tid, seized);
          complete = false;
        }
      }
    }
    return complete;
  }

  /** Begins to stop threads. @returns those that could not be seized, each with the negative errno */
  #seize(tids: readonly number[]): [tid: number, result: number][] {
    const refused: [tid: number, result: number][] = [];
    const begun: number[] = [];
    seizeMany(tids, OPTIONS, (tid, seized, interrupted) => {
      if (seized < 0) return void refused.push([tid, seized]);
      this.#asked.add(tid);
      if (interrupted < 0) begun.push(tid);
    });
    begun.forEach(interrupt);
    return refused;
  }

  /** Whether the process has no more threads than those that stand still, and a first one that has ended. */
  #hasAll(): boolean {
    const { pid } = this;
    const ended = this.#tracees.has(pid) ? 0 : 1;
    return unlessGone(() => readStat(pid).threads === this.#tracees.size + ended, true);
  }

  #adoptTraced(): void {
    const { pid } = this;
    for (const tid of threadsOf(pid)) {
      if (!this.#tracees.has(tid) && isTracedHere(pid, tid)) this.#asked.add(tid);
    }
  }

  /** A thread that ended, and whose id another one has by now, refuses, and nothing tells why any more. */
  #noteRefusal(tid: number, result: number): void {
    const count = (this.#refusals.get(tid) ?? 0) + 1;
    this.#refusals.set(tid, count);
    if (count > MOST_REFUSALS) {
      throw explainRefusal(cannotTrace(tid, BigInt(result)), this.pid, tid);
    }
  }

  /** Waits until every thread that was asked to stop has done so, or is gone. */
  #awaitStops(): void {
    const begin = performance.now();
    for (let idle = 0; this.#asked.size > 0;) {
      let moved = false;
      // The end of a first thread may be for whoever started its process here: that is looked at by itself.
      const others = [...this.#asked].filter((tid) => tid !== this.pid);
      if (others.length < this.#asked.size && this.#look(this.pid)) moved = true;
      if (this.#lookMany(others)) moved = true;
      this.#cancellation.throwIfCancelled();
      if (moved) {
        idle = 0;
        continue;
      }
      // They stop within microseconds as a rule; one that does not is not worth a busy processor.
      if (++idle < 50) continue;
      this.#dropLost();
      // Where a thread that was not seized has taken this id, there is nothing to wait for. (The kernel
      // would say so, but of a process that this one has started itself.)
      if (this.#asked.has(this.pid) && !isTracedHere(this.pid)) this.#asked.delete(this.pid);
      const [tid] = this.#asked;
      if (tid !== undefined && this.#cancellation.isLate) throw cannotStop(tid, this.pid);
      if (performance.now() - begin > FROZEN_VFORK_PATIENCE && idle % 250 === 0) {
        this.#refuseVfork();
      }
      pause(0.2);
    }
  }

  /** @returns whether there was anything new of this thread */
  #look(tid: number): boolean {
    return this.#handle(tid, lookAt(tid, this.pid, OPTIONS, this.#cancellation));
  }

  /** @returns whether there was anything new of these threads, none of which is the first one */
  #lookMany(tids: readonly number[]): boolean {
    const stops = new Map<number, Stop>();
    nextStops(tids, (tid, stop) => void (stop.kind === "none" || stops.set(tid, stop)));
    const still = [...stops].flatMap(([tid, { kind }]) => kind === "event-stop" ? [tid] : []);
    const states = new Map<number, ThreadState>();
    readStates(still, (tid, state) => void (state && states.set(tid, state)));
    // Nobody is told of these stops again: each is dealt with, whatever becomes of the others.
    const failures: unknown[] = [];
    for (const [tid, stop] of stops) {
      // Another one of these may have executed a program: then this is known to be gone.
      if (!this.#asked.has(tid)) continue;
      const state = states.get(tid);
      try {
        this.#handle(tid, afterStop(stop, tid, this.pid, OPTIONS, this.#cancellation, state));
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return stops.size > 0;
  }

  /** @returns whether there was anything new of this thread */
  #handle(tid: number, look: Look): boolean {
    const { pid } = this;
    switch (look.kind) {
      case "none":
        return false;
      case "moved":
        return true;
      case "executed":
        this.#beginAgain();
        return true;
      case "gone":
        this.#asked.delete(tid);
        // It has ended, or goes on under the first thread's id and is traced still (execve(2)).
        if (tid !== pid && !this.#tracees.has(pid)) this.#asked.add(pid);
        return true;
      case "stopped":
        this.#asked.delete(tid);
        this.#take(look.tracee);
        return true;
    }
  }

  #take(tracee: Tracee): void {
    const { pid } = this;
    this.#tracees.set(tracee.tid, tracee);
    this.#taken.push(tracee);
    this.#onStop(tracee);
    const problem = tracee.registers.segmentProblem;
    if (problem === undefined) return;
    throw new StasisError("unsupported", `thread ${tracee.tid} of task ${pid} ${problem}`, {
      pid,
      hint: "only 64-bit x86-64 programs can be checkpointed",
    });
  }

  /** Another program runs in the process, by one thread, which has been asked to stop. */
  #beginAgain(): void {
    const { pid } = this;
    for (const tracee of this.#tracees.values()) tracee.lose();
    this.#tracees.clear();
    this.#asked.clear();
    this.#asked.add(pid);
    if (++this.#programs <= MOST_PROGRAMS) return;
    throw new StasisError("unsupported", `task ${pid} executes one program after the other`, {
      pid,
      hint: "it never stands still for long enough to be saved; try again",
    });
  }

  /**
   * Drops threads that were stopped and then ended by another one that was not yet, and so reaps them.
   *
   * @returns whether there were any
   */
  #dropLost(): boolean {
    let any = false;
    for (const tid of findRestless([...this.#tracees.keys()])) {
      const tracee = this.#tracees.get(tid);
      if (tracee === undefined) continue;
      // In this order: if it stands still only since it has executed a program, that is told afterwards.
      const stands = standsStill(tid);
      const look = lookAt(tid, this.pid, OPTIONS, this.#cancellation);
      if (stands && look.kind === "none") continue;
      any = true;
      if (look.kind === "executed") {
        this.#beginAgain();
        return true;
      }
      tracee.lose();
      this.#tracees.delete(tid);
      if (look.kind === "stopped") this.#take(look.tracee);
      // A first thread that is no more may be a zombie still, or another one by now.
      else if (look.kind !== "gone") this.#asked.add(tid);
    }
    return any;
  }

  /** A thread in vfork stops when its child has executed a program or ended, which may take as long as it likes. */
  #refuseVfork(): void {
    const { pid } = this;
    for (const { child, comm } of namedChildren(pid)) {
      const tid = vforkingThread(pid, [...this.#asked], child);
      if (tid === undefined) continue;
      const what = describeVfork(child, comm);
      throw new StasisError("unsupported", `thread ${tid} of task ${pid} ${what}`, {
        pid,
        hint: VFORK_HINT,
      });
    }
  }

  #restless(): StasisError {
    const { pid } = this;
    return new StasisError("timeout", `task ${pid} could not be stopped in time`, {
      pid,
      hint: "its threads come and go faster than they can be stopped, or one is kept waiting in " +
        "execve(2) by a file system; try again, or allow it more time (--timeout)",
    });
  }
}

/** The threads of a process; none of one that is gone. */
function threadsOf(pid: number): readonly number[] {
  return unlessGone(() => readTasks(pid), []);
}

function namedChildren(pid: number): { readonly child: number; readonly comm: string }[] {
  return unlessGone(
    () => readChildren(pid).map((child) => ({ child, comm: readStat(child).comm })),
    [],
  );
}

/** Whether a process, or a thread of it, has ended and is still there; a thread that is gone has ended, too. */
export function isZombie(pid: number, tid?: number): boolean {
  return unlessGone(() => ["Z", "X"].includes(readStat(pid, tid).state), tid !== undefined);
}

/** Whether a process is gone, or has ended with all its threads. */
function hasEnded(pid: number): boolean {
  return unlessGone(() => {
    const { state, threads } = readStat(pid);
    return state === "Z" && threads === 1;
  }, true);
}

/** Tells a thread that somebody else traces from one that this user may not trace. */
function explainRefusal(error: StasisError, pid: number, tid: number): StasisError {
  const tracerPid = unlessGone(() => readStatus(pid, tid).tracerPid, 0);
  if (tracerPid === 0) return error;
  return new StasisError(
    "unsupported",
    `thread ${tid} of task ${pid} is traced already, by task ${tracerPid}`,
    { pid, errno: error.errno, hint: "end the debugger, strace or other tracer first" },
  );
}
