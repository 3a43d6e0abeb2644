/**
 * The freeze: seizes and interrupts every thread, until the tree is closed under fork and clone: a pass
 * over all threads and children that finds nothing new. Processes that stand still already come last.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { Interruptions } from "../linux/interruptions.ts";
import { peekSiginfo } from "../linux/ptrace.ts";
import { readChildren, readStat, unlessGone } from "../linux/procfs/mod.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { awaitStoppedAgain } from "../remote/job_control.ts";
import { Tracee } from "../remote/tracee.ts";
import { isZombie, ProcessStopper } from "./stop_process.ts";
import { Task } from "./task.ts";

/** A process all of whose threads stand still. */
export interface StoppedProcess {
  readonly proc: Task;
  /** The leader first, unless it has ended, then by ascending tid. */
  readonly tracees: readonly Tracee[];
  /** The signals that wait for the whole process. */
  readonly sharedPending: readonly Siginfo[];
}

/** A tree that stands still, and its zombies. */
export interface StoppedTree {
  readonly processes: readonly StoppedProcess[];
  readonly zombies: readonly Task[];
}

/**
 * Stops a whole tree.
 *
 * @param undo gets the release of all threads
 * @param onStop is told of every thread as soon as it stands still
 * @throws {StasisError} `unsupported` if a part of it cannot be stopped, `no-privilege`, `no-such-task`, or as the
 * cancellation says
 */
export function freezeTree(
  root: number,
  undo: DisposableStack,
  cancellation: Cancellation,
  onStop: (tracee: Tracee) => void = () => {},
): StoppedTree {
  using _ = new Interruptions();
  const taken: Tracee[] = [];
  // Behind those that stand still those are let go of that have been asked to and have not been seen to.
  const asked = undo.use(new DisposableStack());
  undo.defer(() => letGo(taken));
  /** Those that job control has stopped, until all others stand still: nobody of the tree is to see that they are traced. */
  const late = new Set<number>();
  const begin = (pid: number) => {
    if (unlessGone(() => readStat(pid).state, "X") === "T") late.add(pid);
    return new ProcessStopper(pid, asked, taken, cancellation, onStop);
  };
  const stoppers = new Map([[root, begin(root)]]);
  const zombies = new Set<number>();
  for (let grew = true; grew || late.size > 0;) {
    if (!grew) late.clear();
    grew = false;
    for (const [pid, stopper] of stoppers) {
      cancellation.check();
      if (!late.has(pid)) {
        if (stopper.stop()) grew = true;
        if (stopper.tracees.size === 0) {
          stoppers.delete(pid);
          if (isZombie(pid)) zombies.add(pid);
          continue;
        }
      }
      const threads = late.has(pid) ? undefined : stopper.tracees;
      for (const child of unlessGone(() => readChildren(pid, threads), [])) {
        if (stoppers.has(child) || zombies.has(child)) continue;
        stoppers.set(child, begin(child));
        grew = true;
      }
    }
  }
  if (!stoppers.has(root)) throw hasEnded(root);
  const processes = [...stoppers.values()].map(describe);
  for (const { proc } of processes) {
    // A task that ended between two looks may have left its pid to a stranger.
    if (stoppers.has(proc.stat.ppid) || proc.pid === root) continue;
    throw new StasisError(
      "no-such-task",
      `task ${proc.pid} left the tree while it was being frozen`,
      { pid: proc.pid, hint: "try again" },
    );
  }
  return { processes, zombies: [...zombies].map((pid) => new Task(pid)) };
}

/**
 * Stops one process of a tree, while the others run.
 *
 * @param undo gets the release of its threads
 * @param onStop is told of every thread as soon as it stands still
 * @returns undefined where it has ended
 * @throws {StasisError} as {@link freezeTree}
 */
export function freezeProcess(
  pid: number,
  undo: DisposableStack,
  cancellation: Cancellation,
  onStop: (tracee: Tracee) => void,
): StoppedProcess | undefined {
  using _ = new Interruptions();
  const taken: Tracee[] = [];
  const asked = undo.use(new DisposableStack());
  undo.defer(() => letGo(taken));
  const stopper = new ProcessStopper(pid, asked, taken, cancellation, onStop);
  stopper.stop();
  return stopper.tracees.size === 0 ? undefined : describe(stopper);
}

/** Lets threads run on, those that stood still before first: nobody of the tree is to see that they have run. */
function letGo(tracees: readonly Tracee[]): void {
  using undo = new DisposableStack();
  undo.defer(() => Tracee.releaseAll(tracees.filter(({ groupStop }) => groupStop === 0).reverse()));
  for (const tracee of tracees) {
    if (tracee.groupStop === 0) continue;
    undo.defer(() => {
      tracee.release();
      awaitStoppedAgain(tracee.pid, tracee.tid);
    });
  }
}

function describe({ pid, tracees }: ProcessStopper): StoppedProcess {
  const leader = tracees.get(pid);
  const others = [...tracees.values()].filter((one) => one !== leader);
  others.sort((a, b) => a.tid - b.tid);
  const all = leader === undefined ? others : [leader, ...others];
  const { tid } = all[0] as Tracee;
  const sharedPending = unlessGone(() => peekSiginfo(tid, true), undefined);
  if (sharedPending === undefined) throw hasEnded(pid);
  return { proc: new Task(pid, all.map(({ tid }) => tid)), tracees: all, sharedPending };
}

function hasEnded(pid: number): StasisError {
  return new StasisError("no-such-task", `task ${pid} ended while it was being frozen`, { pid });
}
