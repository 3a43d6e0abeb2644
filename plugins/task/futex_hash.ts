/**
 * The private futex hash of a process, which Linux has from 6.16 on (`kernel/futex/core.c`).
 *
 * @module
 */
import { prctl } from "../../core/linux/libc_ffi.ts";
import { PR } from "./prctl.ts";

/** Arguments of {@link PR.FUTEX_HASH}. */
export const FUTEX_HASH = { SET_SLOTS: 1, GET_SLOTS: 2 } as const;

/** The least that the kernel gives by itself. */
const LEAST = 16;
/** What it gives for each thread, counting no more threads than there are CPUs. */
const SLOTS_PER_THREAD = 4;

/**
 * Whether the kernel gives its processes a hash of their own. This process has threads, and so would have one.
 */
export function hasPrivateHash(): boolean {
  return prctl(PR.FUTEX_HASH, BigInt(FUTEX_HASH.GET_SLOTS)) > 0;
}

/**
 * Whether a number of slots may be the kernel's own choice, as far as one can tell: it does not say who chose.
 * futex_hash_allocate_default() takes a power of two, at the birth of the first thread and when there are more; until
 * then a process has none (0).
 *
 * @param threads how many the process has now
 * @param cpus how many the machine has
 */
export function isAutomatic(slots: number, threads: number, cpus: number): boolean {
  if (slots === 0) return threads === 1;
  const most = Math.max(LEAST, 2 ** Math.ceil(Math.log2(SLOTS_PER_THREAD * cpus)));
  return slots >= LEAST && slots <= most && Number.isInteger(Math.log2(slots));
}
