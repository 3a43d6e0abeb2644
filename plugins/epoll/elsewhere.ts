/**
 * Files that an epoll instance watches and that its task has no descriptor of any more: they are watched on as long as
 * another task has one, or one lies in flight (eventpoll_release() of `fs/eventpoll.c`).
 *
 * @module
 */
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import type { EpollTarget } from "../../core/linux/procfs/mod.ts";
import { CandidateIndex, compareWith, findTargets, type FoundTarget } from "./targets.ts";

/** The targets of an instance of which its task has no descriptor. */
export function lostTargets(found: readonly FoundTarget[]): readonly EpollTarget[] {
  return found.filter(({ fd }) => fd === undefined).map(({ target }) => target);
}

/**
 * Finds descriptors of files in a whole tree.
 *
 * @param lost the files of an instance that are looked for
 * @returns one of each file that is found
 */
export function findElsewhere(
  lost: readonly EpollTarget[],
  instance: Descriptor,
  tasks: readonly Task[],
): Map<EpollTarget, Descriptor> {
  const found = new Map<EpollTarget, Descriptor>();
  const missing = new Set(lost);
  for (const { descriptors } of tasks) {
    // What lies in flight another process keeps.
    for (const all of Map.groupBy(descriptors, ({ liveTid }) => liveTid).values()) {
      if (missing.size === 0) return found;
      const [first] = all as [Descriptor];
      const targets = findTargets(
        instance.info.epoll ?? [],
        new CandidateIndex(all),
        compareWith(instance, first),
        undefined,
        missing,
      );
      for (const { target, fd } of targets) {
        if (fd === undefined) continue;
        found.set(target, all.find((one) => one.fd === fd) as Descriptor);
        missing.delete(target);
      }
    }
  }
  return found;
}
