/**
 * `/proc/PID/auxv`: what the kernel told the program when it was started. Source: proc_pid_auxv(5),
 * getauxval(3); kernel fs/proc/base.c, auxv_read().
 *
 * @module
 */

import { readTaskBytes } from "./read.ts";

/** AT_* types (include/uapi/linux/auxvec.h, arch/x86/include/uapi/asm/auxvec.h). */
export const AuxType = {
  AT_NULL: 0,
  AT_EXECFD: 2,
  AT_PHDR: 3,
  AT_PHENT: 4,
  AT_PHNUM: 5,
  AT_PAGESZ: 6,
  AT_BASE: 7,
  AT_FLAGS: 8,
  AT_ENTRY: 9,
  AT_UID: 11,
  AT_EUID: 12,
  AT_GID: 13,
  AT_EGID: 14,
  AT_PLATFORM: 15,
  AT_HWCAP: 16,
  AT_CLKTCK: 17,
  AT_SECURE: 23,
  AT_BASE_PLATFORM: 24,
  AT_RANDOM: 25,
  AT_HWCAP2: 26,
  AT_RSEQ_FEATURE_SIZE: 27,
  AT_RSEQ_ALIGN: 28,
  AT_EXECFN: 31,
  AT_SYSINFO_EHDR: 33,
  AT_MINSIGSTKSZ: 51,
} as const;

/** One entry: its type ({@link AuxType}) and its value. */
export type AuxEntry = readonly [type: bigint, value: bigint];

/** Parses an `auxv` file of a 64-bit process, without the AT_NULL at its end. */
export function parseAuxv(bytes: Uint8Array): readonly AuxEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: AuxEntry[] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const type = view.getBigUint64(at, true);
    if (type === BigInt(AuxType.AT_NULL)) break;
    entries.push([type, view.getBigUint64(at + 8, true)]);
  }
  return entries;
}

/**
 * Reads the auxiliary vector of a process; empty for a zombie or a kernel thread.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readAuxv(pid: number): readonly AuxEntry[] {
  return parseAuxv(readTaskBytes(pid, "auxv"));
}
