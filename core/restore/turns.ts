/**
 * Which tasks may run a stage's programs at the same time. Pure.
 *
 * Programs use descriptor numbers for a moment, change directories, root and umask, and lie in scratch memory.
 * Each of that belongs to a kernel object which several tasks may have in common (CLONE_FILES, CLONE_FS,
 * CLONE_VM): two that use the same one at once would take each other's descriptors away. So whoever shares any
 * of them, directly or by way of a third, takes turns.
 *
 * @module
 */

/** A task and the objects that it may share: the first task that has the same, or itself. */
export interface Sharer {
  readonly pid: number;
  readonly filesOwner: number;
  readonly fsOwner: number;
  readonly memoryOwner: number;
}

/**
 * Puts tasks into groups: those of one group take turns, in their order; different groups share nothing.
 *
 * @param tasks in the order in which those that share take turns; owners before those that share with them
 */
export function takingTurns<Task extends Sharer>(tasks: readonly Task[]): Task[][] {
  const parents = new Map(tasks.map(({ pid }) => [pid, pid]));
  const find = (pid: number): number => {
    let root = pid;
    for (let up = parents.get(root); up !== undefined && up !== root; up = parents.get(root)) {
      root = up;
    }
    // Shortened on the way, so that a long chain is walked once.
    for (let at = pid; at !== root;) {
      const up = parents.get(at) as number;
      parents.set(at, root);
      at = up;
    }
    return root;
  };
  for (const { pid, filesOwner, fsOwner, memoryOwner } of tasks) {
    for (const owner of [filesOwner, fsOwner, memoryOwner]) parents.set(find(pid), find(owner));
  }
  return [...Map.groupBy(tasks, ({ pid }) => find(pid)).values()];
}
