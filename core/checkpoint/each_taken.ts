/**
 * Looking at sockets through duplicates of their descriptors.
 *
 * @module
 */
import { MOST_TAKEN, TakenDescriptors } from "./taken_descriptors.ts";
import type { Descriptor } from "./task.ts";
import { openThreadPidfd } from "../linux/pidfd.ts";

/** Calls a function with a duplicate of each descriptor. */
export function eachTaken(
  descriptors: Iterable<Descriptor>,
  take: (descriptor: Descriptor, fd: number) => void,
): void {
  for (const [pid, own] of Map.groupBy(descriptors, ({ pid }) => pid)) {
    using pidfd = openThreadPidfd(own[0]?.liveTid ?? pid, pid);
    for (let from = 0; from < own.length; from += MOST_TAKEN) {
      const part = own.slice(from, from + MOST_TAKEN);
      using taken = new TakenDescriptors(pidfd, pid, part);
      for (const [index, descriptor] of part.entries()) take(descriptor, taken.fd(index));
    }
  }
}

/** The inode of a descriptor's socket. */
export function inodeOf({ link }: Descriptor): number {
  return Number(link.inode ?? 0n);
}
