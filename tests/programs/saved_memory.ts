/**
 * Looks into the memory that images hold.
 *
 * @module
 */
import type { ImageDirectory } from "../../images/mod.ts";
import { taskRuns } from "../../plugins/memory/task_runs.ts";

/** The byte that a process had at an address, or undefined where the images have no page for it. */
export function readSavedByte(
  images: ImageDirectory,
  pid: number,
  address: bigint,
): number | undefined {
  const run = taskRuns(images, pid)
    .find(({ start, size }) => address >= start && address < start + size);
  if (run === undefined) return undefined;
  using pages = Deno.openSync(run.pages);
  pages.seekSync(run.offset + address - run.start, Deno.SeekMode.Start);
  const byte = new Uint8Array(1);
  return pages.readSync(byte) === 1 ? byte[0] : undefined;
}
