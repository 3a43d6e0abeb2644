/**
 * `/proc/PID/maps`: the mappings of a process without their flags. Source: proc_pid_maps(5); kernel
 * fs/proc/task_mmu.c. Far cheaper than `smaps`, for which the kernel walks all page tables.
 *
 * @module
 */

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
