/**
 * Looks into the memory that images hold.
 *
 * @module
 */
import { PAGEMAP, PAGES } from "../../images/kinds/memory.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { savedRuns } from "../../plugins/memory/saved_pages.ts";

/** The byte that a process had at an address, or undefined where the images have no page for it. */
export function readSavedByte(
  images: ImageDirectory,
  pid: number,
  address: bigint,
): number | undefined {
  const pagemap = images.readPagemap(PAGEMAP, pid);
  const run = savedRuns(pagemap, `the pagemap of ${pid}`)
    .find(({ start, size }) => address >= start && address < start + size);
  if (run === undefined) return undefined;
  using pages = Deno.openSync(images.pathOf(PAGES, pagemap.pagesId));
  pages.seekSync(run.offset + address - run.start, Deno.SeekMode.Start);
  const byte = new Uint8Array(1);
  return pages.readSync(byte) === 1 ? byte[0] : undefined;
}
