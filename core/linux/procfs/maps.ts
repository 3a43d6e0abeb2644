/**
 * `/proc/PID/maps`: the mappings of a process without their flags. Source: proc_pid_maps(5); kernel
 * fs/proc/task_mmu.c. Far cheaper than `smaps`, for which the kernel walks all page tables.
 *
 * @module
 */

import { decodeBytes, encodeBytes } from "../../../base/byte_text.ts";
import { readTaskBytes } from "./read.ts";
import { type Mapping, VmaLineParser } from "./vma_line.ts";

/** Parses a `maps` file. Ascending addresses; the `[vsyscall]` page is last. */
export function parseMaps(bytes: Uint8Array): readonly Mapping[] {
  const parser = new VmaLineParser("maps");
  parser.begin(bytes);
  const mappings: Mapping[] = [];
  while (!parser.done) mappings.push(parser.parse());
  return mappings;
}

/**
 * Reads the mappings of a process; none for a zombie or a kernel thread. While it runs, the list is a
 * mixture of moments: the kernel hands it out in pieces.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readMaps(pid: number): readonly Mapping[] {
  return parseMaps(readTaskBytes(pid, "maps"));
}

/** What the kernel's own mappings are called that belong to its vDSO. */
const VDSO_LINE = /^.* \[(?:vdso|vvar|vvar_vclock)\]$/gm;

let ownVdso: readonly Mapping[] | undefined;

/**
 * The mappings of the vDSO in this process, ascending, where they stay; none if the kernel has none (`vdso=0`). There
 * are a thousand others here.
 */
export function readOwnVdso(): readonly Mapping[] {
  if (ownVdso === undefined) {
    const lines = decodeBytes(readTaskBytes(Deno.pid, "maps")).match(VDSO_LINE) ?? [];
    ownVdso = parseMaps(encodeBytes(lines.map((line) => `${line}\n`).join("")));
  }
  return ownVdso;
}
