/**
 * What an epoll instance watches: which descriptor of the task is the file that was added under a number
 * which may since have been closed, or have become another file's.
 *
 * @module
 */
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { findOrdered, KCMP, kcmp, kcmpOrder } from "../../core/linux/kcmp.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import type { DeviceNumber, EpollTarget } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { decodeUserDevice, encodeKernelDevice } from "../../images/device.ts";
import { inTreeOrder } from "./tree_order.ts";

/** KCMP_EPOLL_TFD (`include/uapi/linux/kcmp.h`). */
const KCMP_EPOLL_TFD = 7;

/** `struct kcmp_epoll_slot` */
const Slot = defineStruct("kcmp_epoll_slot", 12, {
  efd: [0, "u32"],
  tfd: [4, "u32"],
  toff: [8, "u32"],
});

/** How the file of a descriptor stands to that of an entry of an epoll instance, in kcmp's order. */
export type Comparison = -1 | 0 | 1 | "closed" | "gone";

/** What the search asks of the kernel. */
export interface Comparer {
  /** Compares a descriptor of the task with the `toff`-th of the entries of number `tfd`. */
  withEntry(fd: number, tfd: number, toff: number): Comparison;
  /** Compares two descriptors of the task, in the same order. */
  withOther(fd: number, other: number): number;
  /** Puts descriptors into the order in which an instance has its entries; may leave some out. */
  inTreeOrder(fds: readonly number[]): readonly number[];
}

/** An entry and the descriptor by which its file can be added again. */
export interface FoundTarget {
  readonly target: EpollTarget;
  /** Its number; undefined if the task has no descriptor of that file any more. */
  readonly fd: number | undefined;
}

/**
 * Asks kcmp(2).
 *
 * @param task the one whose descriptors are compared
 *
 * An entry is "gone" if the instance has no such one (the program runs, and has taken it out), and a descriptor
 * "closed" if there is none of that number.
 */
export function compareWith(
  instance: Descriptor,
  { pid, liveTid }: Pick<Task, "pid" | "liveTid">,
): Comparer {
  return {
    withEntry(fd, tfd, toff) {
      const slot = Slot.make({ efd: instance.fd, tfd, toff });
      // The instance may be in flight, and this process have it.
      const result = syscall(SYSCALLS.kcmp, liveTid, instance.liveTid, KCMP_EPOLL_TFD, fd, slot);
      if (isErrno(result)) return errnoName(-result) === "ENOENT" ? "gone" : "closed";
      return kcmpOrder(result);
    },
    withOther: (fd, other) => kcmp(liveTid, liveTid, KCMP.FILE, fd, other),
    inTreeOrder: (fds) => inTreeOrder({ pid, liveTid }, fds),
  };
}

/** A descriptor, as far as the search needs it. */
export interface Candidate {
  readonly fd: number;
  readonly info: Pick<Descriptor["info"], "ino">;
  readonly link: Pick<Descriptor["link"], "kind">;
  readonly identity: Pick<Descriptor["identity"], "dev">;
}

/**
 * Finds the descriptor of each entry: mostly the one of the same number. Entries that are gone are left out.
 *
 * Two entries may have one number (the first was closed, but lives on in a duplicate): they are told apart
 * by their order, in which fdinfo and kcmp agree (both walk the same tree, ep_find_tfd() of
 * `fs/eventpoll.c`).
 *
 * It asks once for each entry of an open number, and about as often for others: both they and the descriptors that they
 * may be are looked at in the kernel's order. Where that does not tell, it asks logarithmically often, of the
 * descriptors in kcmp's order. For an entry of a socket it need not ask, since the inode tells.
 *
 * @param wanted those that are looked for; all if absent
 */
export function findTargets(
  targets: readonly EpollTarget[],
  candidates: CandidateIndex,
  comparer: Comparer,
  hints: Hints = new Map(),
  wanted?: ReadonlySet<EpollTarget>,
): FoundTarget[] {
  const files = new OrderedFiles(candidates, comparer);
  const seen = new Map<number, number>();
  const found: FoundTarget[] = [];
  for (const target of targets) {
    const { tfd, ino, dev } = target;
    const toff = seen.get(tfd) ?? 0;
    seen.set(tfd, toff + 1);
    if (wanted?.has(target) === false) continue;
    const same = candidates.byNumber.get(tfd);
    if (same !== undefined && mayBe(same, ino)) {
      const isCertain = isSocket(same) && same.info.ino === ino &&
        isEqual(dev, candidates.socketDevice);
      const answer = isCertain ? 0 : comparer.withEntry(tfd, tfd, toff);
      if (answer === "gone") continue;
      if (answer === 0) {
        found.push({ target, fd: tfd });
        continue;
      }
    }
    const key = `${tfd} ${toff}`;
    const hint = hints.get(key);
    const isStill = hint !== undefined && comparer.withEntry(hint, tfd, toff) === 0;
    const fd = isStill ? hint : files.findNext(target, toff) ?? files.find(target, toff);
    if (fd === "gone") continue;
    if (fd !== undefined) hints.set(key, fd);
    found.push({ target, fd });
  }
  return found;
}

/**
 * What was found for entries of numbers that are not theirs any more, by number and offset: the frozen tree is asked
 * about that first, and mostly about nothing else. Each question has the kernel walk through half of the entries.
 */
export type Hints = Map<string, number>;

/** The descriptors of a task, as the search looks for them: made once for all its instances. */
export class CandidateIndex {
  readonly byNumber: ReadonlyMap<number, Candidate>;
  /** By the inode that fdinfo shows. */
  readonly byInode: ReadonlyMap<bigint | undefined, readonly Candidate[]>;
  /** All sockets are on one file system within the kernel: its device, if there are any. */
  readonly socketDevice: DeviceNumber | undefined;

  constructor(candidates: readonly Candidate[]) {
    this.byNumber = new Map(candidates.map((candidate) => [candidate.fd, candidate]));
    this.byInode = Map.groupBy(candidates, ({ info }) => info.ino);
    const socket = candidates.find(isSocket);
    this.socketDevice = socket && decodeUserDevice(socket.identity.dev);
  }
}

function isSocket({ link }: Candidate): boolean {
  return link.kind === "socket";
}

function isEqual(a: DeviceNumber, b: DeviceNumber | undefined): boolean {
  return a.major === b?.major && a.minor === b.minor;
}

/** Whether a descriptor may be of an inode: fdinfo shows its own from Linux 5.15 on. */
function mayBe({ info }: Candidate, ino: bigint): boolean {
  return info.ino === undefined || info.ino === ino;
}

/** Of fewer descriptors the order is not asked for: there are few questions anyway. */
const MANY = 16;
/** How many descriptors are tried before the whole order is searched: there may be some that no entry has. */
const GUESSES = 3;

/** The open file descriptions behind the descriptors of a task, one descriptor of each, in kcmp's order. */
class OrderedFiles {
  readonly #candidates: CandidateIndex;
  readonly #ordered = new Map<bigint | undefined, number[]>();
  /** By inode: the descriptors in the kernel's order, and where among them the next entry's is expected. */
  readonly #treeOrder = new Map<bigint | undefined, { fds: readonly number[]; next: number }>();
  readonly #comparer: Comparer;

  constructor(candidates: CandidateIndex, comparer: Comparer) {
    this.#candidates = candidates;
    this.#comparer = comparer;
  }

  /** The same, if it is one of the next ones behind that of the entry before, as the kernel has them. */
  findNext({ tfd, ino }: EpollTarget, toff: number): number | undefined {
    let order = this.#treeOrder.get(ino);
    if (order === undefined) {
      const fds = (this.#candidates.byInode.get(ino) ?? []).map(({ fd }) => fd);
      const isWorthIt = fds.length >= MANY;
      order = { fds: isWorthIt ? this.#comparer.inTreeOrder(fds) : [], next: 0 };
      this.#treeOrder.set(ino, order);
    }
    const { fds, next } = order;
    for (let at = next; at < Math.min(next + GUESSES, fds.length); at++) {
      const fd = fds[at] as number;
      if (this.#comparer.withEntry(fd, tfd, toff) !== 0) continue;
      order.next = at + 1;
      return fd;
    }
    return undefined;
  }

  /** A descriptor of the `toff`-th entry of its number, or undefined if the task has none. */
  find({ tfd, ino }: EpollTarget, toff: number): number | undefined | "gone" {
    for (const inode of [ino, undefined]) {
      let isGone = false;
      const ordered = this.#inOrder(inode);
      const { index, found } = findOrdered(ordered, (fd) => {
        const answer = this.#comparer.withEntry(fd, tfd, toff);
        if (typeof answer === "number") return -answer;
        // Closed meanwhile: the program runs, and whatever comes out will be looked at again.
        isGone ||= answer === "gone";
        return 1;
      });
      if (isGone) return "gone";
      if (!found) continue;
      const fd = ordered[index] as number;
      const order = this.#treeOrder.get(ino);
      if (order !== undefined) order.next = order.fds.indexOf(fd) + 1;
      return fd;
    }
    return undefined;
  }

  #inOrder(inode: bigint | undefined): number[] {
    let ordered = this.#ordered.get(inode);
    if (ordered !== undefined) return ordered;
    ordered = [];
    for (const { fd } of this.#candidates.byInode.get(inode) ?? []) {
      const { index, found } = findOrdered(
        ordered,
        (other) => this.#comparer.withOther(fd, other),
      );
      if (!found) ordered.splice(index, 0, fd);
    }
    this.#ordered.set(inode, ordered);
    return ordered;
  }
}

/** What is known of descriptors and tasks that do not change any more, or not before they are read anew. */
const known = new WeakMap<Descriptor, readonly FoundTarget[]>();
const indexes = new WeakMap<Task, CandidateIndex>();

/**
 * {@link findTargets} of an epoll descriptor of a task.
 *
 * @param hints those of this checkpoint, by task and instance
 */
export function targetsOf(
  descriptor: Descriptor,
  task: Task,
  hints: Map<string, Hints>,
): readonly FoundTarget[] {
  const { epoll: targets = [] } = descriptor.info;
  if (targets.length === 0) return [];
  let found = known.get(descriptor);
  if (found === undefined) {
    let index = indexes.get(task);
    if (index === undefined) {
      // What is in flight has no number to be added by.
      const own = task.descriptors.filter(({ isInFlight }) => !isInFlight);
      indexes.set(task, index = new CandidateIndex(own));
    }
    const { pid, fd } = descriptor;
    const key = `${pid} ${fd}`;
    let own = hints.get(key);
    if (own === undefined) hints.set(key, own = new Map());
    found = findTargets(targets, index, compareWith(descriptor, task), own);
    known.set(descriptor, found);
  }
  return found;
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
