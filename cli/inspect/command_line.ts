/**
 * The command line of a process, as `/proc/PID/cmdline` shows it: it stands in the process's own memory
 * (`get_mm_cmdline()` of fs/proc/base.c).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { mm_entry } from "../../images/gen/memory_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { readRun } from "../../plugins/memory/saved_memory.ts";
import { cutRun } from "../../plugins/memory/saved_pages.ts";
import { taskRuns } from "../../plugins/memory/task_runs.ts";
import { splitArguments } from "./arguments.ts";

/** How much of it is read, in bytes. */
const MOST = 4096n;

/**
 * The words of a process's command line.
 *
 * @param pid a process that has its own `mm-PID.img`
 * @returns undefined where it has none, or the images do not have the memory that it is in
 */
export function readCommandLine(
  images: ImageDirectory,
  pid: number,
  { mmArgStart: start, mmArgEnd: end }: Pick<mm_entry, "mmArgStart" | "mmArgEnd">,
): readonly string[] | undefined {
  if (end <= start) return undefined;
  const last = end - start < MOST ? end : start + MOST;
  const bytes = new Uint8Array(Number(last - start));
  try {
    // It is private memory, the stack's: shared objects need not be looked through.
    for (const run of taskRuns(images, pid)) {
      if (run.start >= last || run.start + run.size <= start) continue;
      const from = run.start > start ? run.start : start;
      const to = run.start + run.size < last ? run.start + run.size : last;
      readRun(cutRun(run, from, to), bytes.subarray(Number(from - start)));
    }
  } catch (error) {
    // All else can be looked at without the pages of memory.
    if (error instanceof StasisError) return undefined;
    throw error;
  }
  return splitArguments(bytes);
}
