/**
 * Rings of io_setup(2): what is in one, and how another one comes to be like it. Pure.
 *
 * A context of asynchronous I/O belongs to an address space. The kernel shows it as a mapping, by whose address the
 * program names it (`fs/aio.c`): a head, and events that have come and were not taken yet, in a ring. It moves along
 * with mremap(2) (aio_ring_mremap()).
 *
 * @module
 */
import { PAGE_SIZE } from "../../core/linux/address.ts";
import type { Vma } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct aio_ring`, the head. The events are behind it, 32 bytes each (`struct io_event`). */
export const AioRing = defineStruct("aio_ring", 32, {
  /** Where the kernel keeps the context, in a table of the address space. */
  id: [0, "u32"],
  /** For how many events there is room. */
  nr: [4, "u32"],
  /** The next event to be taken. */
  head: [8, "u32"],
  /** Where the next event comes to. */
  tail: [12, "u32"],
  magic: [16, "u32"],
  compatible: [20, "u32"],
  incompatible: [24, "u32"],
  headSize: [28, "u32"],
});

/** `struct iocb` (`include/uapi/linux/aio_abi.h`), as far as a request of one byte needs it. */
export const Iocb = defineStruct("iocb", 64, {
  opcode: [16, "u16"],
  fd: [20, "u32"],
  buffer: [24, "u64"],
  size: [32, "u64"],
});

/** The head of a ring. */
export type AioRing = ReturnType<typeof AioRing.read>;

/** The size of `struct io_event`. */
export const EVENT_SIZE = 32;
/** IOCB_CMD_PWRITE. */
export const PWRITE = 1;
const MAGIC = 0xa10a10a1;
/** So many requests are made at a time at the most: each takes 8 bytes, and its event 32. */
const AT_ONCE = 1024;
/** More than any ring has: that of the most requests that the kernel may be told to allow by a sensible administrator. */
const MOST_BYTES = 1n << 28n;

/** Whether a mapping is a ring. */
export function isRing({ deleted, name }: Pick<Vma, "deleted" | "name">): boolean {
  return deleted && name === "/[aio]";
}

/** Whether a ring is what the kernel makes. @param size the mapping's, in bytes */
export function isSane(ring: AioRing, size: bigint): boolean {
  return ring.magic === MAGIC && ring.headSize === AioRing.size && size <= MOST_BYTES &&
    ring.nr === eventsIn(size) && ring.head < ring.nr && ring.tail < ring.nr;
}

function eventsIn(size: bigint): number {
  return Number((size - BigInt(AioRing.size)) / BigInt(EVENT_SIZE));
}

/** The most requests that io_setup(2) makes a ring of a size for, as CRIU saves it: nobody knows what the program asked. */
export function requestsFor(size: bigint): number {
  return (eventsIn(size) - 2) >> 1;
}

/**
 * The size of a ring as the kernel makes it (ioctx_alloc(), aio_setup_ring()).
 *
 * @param requests what io_setup(2) is asked for
 * @param processors how many there can be
 * @returns in bytes
 */
export function ringSize(requests: number, processors: number): bigint {
  const events = Math.max(requests, processors * 4) * 2 + 2;
  const bytes = BigInt(AioRing.size + events * EVENT_SIZE);
  return (bytes + PAGE_SIZE - 1n) / PAGE_SIZE * PAGE_SIZE;
}

/**
 * The least requests that io_setup(2) makes a ring of a size for. What it is asked for counts against
 * `/proc/sys/fs/aio-max-nr`, and for nothing else: how many may be under way is up to the ring (ioctx_alloc()), and the
 * program may have asked for no more.
 *
 * @param processors how many there can be; they can be so many that all rings are larger
 */
export function leastRequests(size: bigint, processors: number): number {
  if (ringSize(1, processors) >= size) return 1;
  // One more than a ring takes that is a page smaller.
  return requestsFor(size - PAGE_SIZE) + 1;
}

/** So many requests that are done at once, whose events are taken or stay. */
export interface Completions {
  readonly count: number;
  readonly taken: boolean;
}

/**
 * What brings a new ring to where another one stands: the kernel has its own count of what was done, so each event has
 * to come, and to be taken.
 */
export function completions(
  { nr, head, tail }: Pick<AioRing, "nr" | "head" | "tail">,
): Completions[] {
  // Some requests may be kept for another processor (get_reqs_available()): never more than half of them.
  const most = Math.max(1, Math.min(AT_ONCE, nr >> 2));
  const steps: Completions[] = [];
  const add = (total: number, taken: boolean): void => {
    for (let left = total; left > 0; left -= most) {
      steps.push({ count: Math.min(left, most), taken });
    }
  };
  add(head, true);
  add((tail - head + nr) % nr, false);
  return steps;
}
