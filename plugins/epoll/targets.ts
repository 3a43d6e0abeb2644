/**
 * What an epoll instance watches: which descriptor of the task is the file that was added under a number
 * which may since have been closed, or have become another file's.
 *
 * @module
 */
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import type { EpollTarget } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { encodeKernelDevice } from "../../images/device.ts";

/** KCMP_EPOLL_TFD (`include/uapi/linux/kcmp.h`). */
const KCMP_EPOLL_TFD = 7;

/** `struct kcmp_epoll_slot` */
const Slot = defineStruct("kcmp_epoll_slot", 12, {
  efd: [0, "u32"],
  tfd: [4, "u32"],
  toff: [8, "u32"],
});

/** What kcmp(2) says of a descriptor and an entry of an epoll instance. */
export type Comparison = "same" | "other" | "gone";

/** Compares a descriptor of the epoll's task with the `toff`-th of the entries of number `tfd`. */
export type Compare = (fd: number, tfd: number, toff: number) => Comparison;

/** An entry and the descriptor by which its file can be added again. */
export interface FoundTarget {
  readonly target: EpollTarget;
  /** Its number; undefined if the task has no descriptor of that file any more. */
  readonly fd: number | undefined;
}

/**
 * Asks kcmp(2).
 *
 * @returns "gone" if the instance has no such entry (the program runs, and has taken it out)
 */
export function compareWith(pid: number, efd: number): Compare {
  return (fd, tfd, toff) => {
    const slot = Slot.make({ efd, tfd, toff });
    const result = syscall(SYSCALLS.kcmp, pid, pid, KCMP_EPOLL_TFD, fd, slot);
    if (isErrno(result)) return errnoName(-result) === "ENOENT" ? "gone" : "other";
    return result === 0n ? "same" : "other";
  };
}

/** A descriptor, as far as the search needs it. */
export type Candidate = Pick<Descriptor, "fd"> & { readonly info: Pick<Descriptor["info"], "ino"> };

/**
 * Finds the descriptor of each entry: mostly the one of the same number. Entries that are gone are left out.
 *
 * Two entries may have one number (the first was closed, but lives on in a duplicate): they are told apart
 * by their order, in which fdinfo and kcmp agree (both walk the same tree, ep_find_tfd() of
 * `fs/eventpoll.c`).
 */
export function findTargets(
  targets: readonly EpollTarget[],
  candidates: readonly Candidate[],
  compare: Compare,
): FoundTarget[] {
  const seen = new Map<number, number>();
  const found: FoundTarget[] = [];
  for (const target of targets) {
    const toff = seen.get(target.tfd) ?? 0;
    seen.set(target.tfd, toff + 1);
    const first = compare(target.tfd, target.tfd, toff);
    if (first === "same") found.push({ target, fd: target.tfd });
    else {
      // The file's inode, where fdinfo shows it (5.15 and later), saves most of the questions.
      const likely = candidates.filter(({ info }) =>
        info.ino === undefined || info.ino === target.ino
      );
      let gone = first === "gone";
      let fd: number | undefined;
      for (const candidate of likely) {
        if (gone || fd !== undefined) break;
        const answer = compare(candidate.fd, target.tfd, toff);
        if (answer === "same") fd = candidate.fd;
        gone = answer === "gone";
      }
      if (!gone) found.push({ target, fd });
    }
  }
  return found;
}

/** {@link findTargets} of an epoll descriptor of a task. */
export function targetsOf(descriptor: Descriptor, task: Task): FoundTarget[] {
  const compare = compareWith(descriptor.pid, descriptor.fd);
  return findTargets(descriptor.info.epoll ?? [], task.descriptors, compare);
}

/** The fields of an `eventpoll_tfd_entry`. */
export function targetImage({ target, fd }: FoundTarget, id: number) {
  return {
    id,
    tfd: fd ?? target.tfd,
    events: target.events,
    data: target.data,
    dev: encodeKernelDevice(target.dev),
    inode: target.ino,
    pos: target.pos,
  };
}
