/**
 * From a running tree to one that stands still and in which calls can be made: stopping it, parking its threads,
 * making them safe to inject into, and the survey of what it is now.
 *
 * @module
 */
import type { Cancellation } from "../cancellation.ts";
import { type Hooked, runHook } from "../hooks.ts";
import type { CheckpointHooks, FrozenTask, FrozenTree, StoppedThread } from "../plugin.ts";
import type { Tell } from "../remote/steps.ts";
import type { Rescuer } from "../remote/undo.ts";
import type { ReadAhead } from "../linux/x86_64/read_ahead_ffi.ts";
import { freezeProcess, freezeTree, type StoppedProcess, type StoppedTree } from "./freeze.ts";
import { openTree } from "./frozen_tree.ts";
import { type ParkedProcess, parkTree } from "./park.ts";
import { survey } from "./survey.ts";
import type { Task } from "./task.ts";

/** What goes along with it. */
export interface StandingStill {
  /** Is told how every change is undone, before it is made. */
  readonly rescuer: Rescuer;
  /** Gets the same, to be done in the end. */
  readonly undo: DisposableStack;
  readonly cancellation: Cancellation;
  /** Is told each step. */
  readonly tell: Tell;
}

/**
 * Has a tree stand still.
 *
 * @param onStop is told of its processes when all of them have stopped, before anything is changed in them
 * @param ahead what another thread reads from then on; undone before the tree runs on
 * @throws {StasisError} as `freezeTree()` and `survey()`
 */
export async function standStill(
  pid: number,
  hooked: readonly Hooked<CheckpointHooks>[],
  { rescuer, undo, cancellation, tell }: StandingStill,
  onStop: (tasks: readonly Task[]) => void,
  ahead: ReadAhead,
): Promise<FrozenTree> {
  tell(`the tree of task ${pid} is stopped`);
  const stopped = freezeTree(pid, undo, cancellation, (tracee) => {
    for (const { plugin, hooks } of hooked) runHook(plugin, () => hooks.stopThread?.(tracee));
  });
  undo.use(ahead).begin();
  const tasks = stopped.processes.map(({ proc }) => proc);
  onStop(tasks);
  const threads = stopped.processes.reduce((sum, { tracees }) => sum + tracees.length, 0);
  tell(`the threads are parked, and made safe to make calls in: ${threads}`);
  const parked = park(stopped, rescuer, hooked, undo, cancellation);
  makeSafe(parked, hooked, undo, cancellation);
  tell("the survey of what stands still");
  await survey([...tasks, ...stopped.zombies], hooked, cancellation, { rescuer, undo });
  const tree = { tasks: openTree(parked, rescuer, undo), zombies: stopped.zombies };
  for (const { plugin, hooks } of hooked) {
    cancellation.check();
    runHook(plugin, () => hooks.hold?.({ tree, rescuer, undo }));
  }
  return tree;
}

/**
 * Has one process of a tree stand still for as long as something takes that is done by calls in it, while the others
 * run.
 *
 * @param hooked hooks of this one stop: what they learn of threads is not true any more at the next
 * @param cancellation of this one stop: it is over where that fails
 * @returns what `use` does; undefined where the process has ended
 * @throws {StasisError} as `freezeTree()`
 */
export function standStillBriefly<T>(
  pid: number,
  hooked: readonly Hooked<CheckpointHooks>[],
  { rescuer, cancellation }: Pick<StandingStill, "rescuer" | "cancellation">,
  use: (task: FrozenTask) => T,
): T | undefined {
  using undo = new DisposableStack();
  try {
    const process = freezeProcess(pid, undo, cancellation, (tracee) => {
      for (const { plugin, hooks } of hooked) runHook(plugin, () => hooks.stopThread?.(tracee));
    });
    if (process === undefined) return undefined;
    const stopped: StoppedTree = { processes: [process], zombies: [] };
    const parked = park(stopped, rescuer, hooked, undo, cancellation);
    makeSafe(parked, hooked, undo, cancellation);
    const [task] = openTree(parked, rescuer, undo) as [FrozenTask];
    return use(task);
  } catch (error) {
    cancellation.end();
    throw error;
  }
}

/** Has every thread wait where it can only wait. Plugins that look at it as it was found do so first. */
function park(
  stopped: StoppedTree,
  rescuer: Rescuer,
  plugins: readonly Hooked<CheckpointHooks>[],
  undo: DisposableStack,
  cancellation: Cancellation,
): ParkedProcess[] {
  const threads = stopped.processes.flatMap(threadsOf);
  for (const { plugin, hooks } of plugins) {
    cancellation.check();
    runHook(plugin, () => hooks.examineThreads?.(threads, undo));
  }
  return parkTree(stopped.processes, rescuer, () => cancellation.check());
}

/**
 * Makes every thread safe to inject into. The plugins see the threads before anything runs in them; the tasks
 * behind them have no remote yet, so that no hook can inject too early.
 */
function makeSafe(
  processes: readonly ParkedProcess[],
  plugins: readonly Hooked<CheckpointHooks>[],
  undo: DisposableStack,
  cancellation: Cancellation,
): void {
  const threads = processes.flatMap(threadsOf);
  for (const { plugin, hooks } of plugins) {
    cancellation.check();
    runHook(plugin, () => hooks.freezeThreads?.(threads, undo));
  }
}

function threadsOf({ proc, tracees, sharedPending }: StoppedProcess): StoppedThread[] {
  return tracees.map((tracee) => ({ tid: tracee.tid, tracee, proc, sharedPending }));
}
