/**
 * Where saved pages are, whatever layer of the images has them: those that a task has in common with others too, and
 * those that have not changed since the checkpoint before.
 *
 * @module
 */
import {
  PAGEMAP,
  PAGES,
  PARENT_PAGEMAP,
  PARENT_PAGES,
  PARENT_SHMEM_PAGEMAP,
  SHMEM_PAGEMAP,
} from "../../images/kinds/memory.ts";
import { type Layer, layersOf } from "../../images/layers.ts";
import { type ImageDirectory, type Pagemap, PE_PARENT } from "../../images/mod.ts";
import { type SavedRun, savedRuns } from "./saved_pages.ts";

/**
 * All saved pages of a task, ascending; none where it has no memory of its own.
 *
 * @throws {StasisError} `bad-image`: as {@link savedRuns}, and where the parents are not what they must be
 */
export function taskRuns(images: ImageDirectory, pid: number): SavedRun[] {
  return layeredRuns(images, ({ images, inner }) => {
    const kind = inner ? PARENT_PAGEMAP : PAGEMAP;
    if (!images.has(kind, pid)) return undefined;
    return { pagemap: images.readPagemap(kind, pid), file: images.pathOf(kind, pid) };
  });
}

/**
 * The same of a shared memory object, by offset.
 *
 * @param id the number that names its pagemap
 */
export function objectRuns(images: ImageDirectory, id: bigint): SavedRun[] {
  return layeredRuns(images, ({ images, inner }) => {
    const kind = inner ? PARENT_SHMEM_PAGEMAP : SHMEM_PAGEMAP;
    if (!images.has(kind, id)) return undefined;
    return { pagemap: images.readPagemap(kind, id), file: images.pathOf(kind, id) };
  });
}

/** A pagemap and its path. */
interface Found {
  readonly pagemap: Pagemap;
  readonly file: string;
}

function layeredRuns(
  images: ImageDirectory,
  find: (layer: Layer) => Found | undefined,
): SavedRun[] {
  /** From the images on downwards, as far as pages are in the next. */
  const stack: (Found & { readonly layer: Layer })[] = [];
  let layer: Layer | undefined = { images, inner: false };
  while (layer !== undefined) {
    const found = find(layer);
    if (found === undefined) break;
    stack.push({ ...found, layer });
    const goesOn = found.pagemap.entries.some(({ flags }) => (flags & PE_PARENT) !== 0);
    // Of images that need no parent none is looked for.
    layer = goesOn ? layersOf(images)[stack.length] : undefined;
  }
  return stack.reduceRight<SavedRun[] | undefined>((parent, { pagemap, file, layer }) => {
    const kind = layer.inner ? PARENT_PAGES : PAGES;
    return savedRuns(pagemap, { file, pages: layer.images.pathOf(kind, pagemap.pagesId), parent });
  }, undefined) ?? [];
}
