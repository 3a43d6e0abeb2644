/**
 * Descriptors in flight: those that lie in queues of the tree, beside those that its tasks have.
 *
 * @module
 */
import { type Hooked, runHook } from "../hooks.ts";
import { unlessGone } from "../linux/procfs/mod.ts";
import type { CheckpointHooks, FoundInFlight } from "../plugin.ts";
import type { Rescuer } from "../remote/undo.ts";
import { InFlightKeeper } from "./in_flight_keeper.ts";
import { type Descriptor, InFlightDescriptor, type Task } from "./task.ts";

/** Whether descriptors lie in queues of what a tree has: the looks at one that runs do not find these. */
export function mayHaveInFlight(tasks: readonly Task[]): boolean {
  return tasks.some((task) =>
    unlessGone(() => task.descriptors, []).some(({ info }) => (info.scmFds ?? 0) > 0)
  );
}

/**
 * Has the plugins look for descriptors in flight in a tree that stands still, and into what they have found, until they
 * find nothing more.
 *
 * @param undo gets what closes the duplicates
 */
export function findInFlight(
  tasks: readonly Task[],
  plugins: readonly Hooked<CheckpointHooks>[],
  rescuer: Pick<Rescuer, "noteOutside" | "pids">,
  undo: DisposableStack,
): void {
  let looked = tasks.map((task) => ({ task, descriptors: task.descriptors }));
  while (looked.length > 0) {
    using taken = new DisposableStack();
    const found: { readonly task: Task; readonly one: FoundInFlight }[] = [];
    for (const { task, descriptors } of looked) {
      for (const { plugin, hooks } of plugins) {
        for (const one of runHook(plugin, () => hooks.findInFlight?.(descriptors, rescuer)) ?? []) {
          taken.use(one.duplicate);
          found.push({ task, one });
        }
      }
    }
    if (found.length === 0) return;
    const keeper = undo.use(
      InFlightKeeper.start(found.map(({ one }) => one.duplicate.fd), rescuer.pids),
    );
    const kept = new Map<Task, Descriptor[]>();
    for (const [index, { task, one }] of found.entries()) {
      const number = keeper.numbers[index] as number;
      const descriptor = new InFlightDescriptor(keeper.pid, number, task.pid);
      one.kept(descriptor);
      const known = kept.get(task);
      if (known === undefined) kept.set(task, [descriptor]);
      else known.push(descriptor);
    }
    for (const [task, descriptors] of kept) task.carry(descriptors);
    looked = [...kept].map(([task, descriptors]) => ({ task, descriptors }));
  }
}
