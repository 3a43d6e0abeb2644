/**
 * Restartable sequences, rseq(2). A thread that is interrupted inside a critical section must continue at
 * the section's abort handler. The kernel does that when the thread returns to user space, but by where
 * the instruction pointer is then: with a remote call's pointer it finds the thread outside of any section
 * and forgets the section (`rseq_ip_fixup()` of `kernel/rseq.c`). So the abort is done here, before anything
 * is injected, exactly as the kernel would.
 *
 * @module
 */
import { PROT_WRITE } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** What is asked of a mapping of the images. */
type VmaRange = { readonly start: bigint; readonly end: bigint; readonly prot: number };

/** `struct rseq` (`include/uapi/linux/rseq.h`), its first 32 bytes. */
export const rseqArea = defineStruct("rseq", 32, {
  cpuIdStart: [0, "u32"],
  cpuId: [4, "u32"],
  rseqCs: [8, "u64"],
  flags: [16, "u32"],
});

/** Where in `struct rseq` the pointer to the critical section is. */
export const RSEQ_CS_OFFSET = 8;

/** `struct rseq_cs`: a critical section. */
export const rseqSection = defineStruct("rseq_cs", 32, {
  version: [0, "u32"],
  flags: [4, "u32"],
  startIp: [8, "u64"],
  postCommitOffset: [16, "u64"],
  abortIp: [24, "u64"],
});

/** RSEQ_CS_FLAG_NO_RESTART_ON_SIGNAL: a signal, and so a stop, does not abort (kernels before 6.1). */
const NO_RESTART_ON_SIGNAL = 2;

/** What is to be done with a thread in or near a critical section. */
export type RseqAction =
  /** It is in none. */
  | { readonly kind: "none" }
  /** It continues at `ip`, and its section is forgotten. */
  | { readonly kind: "abort"; readonly ip: bigint }
  /** It continues where it is, and its section stays. */
  | { readonly kind: "keep" };

/**
 * What is to be done with a thread.
 *
 * @param ip its instruction pointer
 * @param area its registered area
 * @param section the critical section that the area names
 */
export function rseqAction(
  ip: bigint,
  area: { readonly flags: number },
  section: ReturnType<typeof rseqSection.read>,
): RseqAction {
  const inside = BigInt.asUintN(64, ip - section.startIp) < section.postCommitOffset;
  if (!inside) return { kind: "none" };
  const flags = area.flags | section.flags;
  return (flags & NO_RESTART_ON_SIGNAL) !== 0
    ? { kind: "keep" }
    : { kind: "abort", ip: section.abortIp };
}

/**
 * Whether the kernel can write to an area: it does so each time that the thread comes back from it, and ends a thread
 * with SIGSEGV whose area it cannot write (`__rseq_handle_notify_resume()` of `kernel/rseq.c`).
 *
 * @param start where the area is
 * @param vmas the mappings, in ascending order
 */
export function isWritableArea(start: bigint, vmas: readonly VmaRange[]): boolean {
  let low = 0;
  for (let high = vmas.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((vmas[middle] as VmaRange).end <= start) low = middle + 1;
    else high = middle;
  }
  const vma = vmas[low];
  return vma !== undefined && vma.start <= start && (vma.prot & PROT_WRITE) !== 0;
}
