/**
 * Where the pages of a task are in the images, those that it has in common with others too.
 *
 * @module
 */
import { PAGEMAP, PAGES, PARENT_PAGEMAP, PARENT_PAGES } from "../../images/kinds/memory.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { type SavedRun, savedRuns } from "./saved_pages.ts";

/**
 * All saved pages of a task, ascending; none where it has no memory of its own.
 *
 * @throws {StasisError} `bad-image`, `unsupported`: as {@link savedRuns}
 */
export function taskRuns(images: ImageDirectory, pid: number): SavedRun[] {
  if (!images.has(PAGEMAP, pid)) return [];
  const pagemap = images.readPagemap(PAGEMAP, pid);
  return savedRuns(pagemap, {
    file: images.pathOf(PAGEMAP, pid),
    pages: images.pathOf(PAGES, pagemap.pagesId),
    parent: parentRuns(images, pid),
  });
}

/** What the parent has of a task's pages; undefined where there is none. */
function parentRuns(images: ImageDirectory, pid: number): SavedRun[] | undefined {
  if (!images.has(PARENT_PAGEMAP, pid)) return undefined;
  const pagemap = images.readPagemap(PARENT_PAGEMAP, pid);
  return savedRuns(pagemap, {
    file: images.pathOf(PARENT_PAGEMAP, pid),
    pages: images.pathOf(PARENT_PAGES, pagemap.pagesId),
  });
}
