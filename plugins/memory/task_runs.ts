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
import { lastName } from "../../images/path.ts";
import { stateOf } from "../../images/remembered.ts";
import { type SavedRun, savedRuns } from "./saved_pages.ts";

/**
 * All saved pages of a task, ascending; none where it has no memory of its own.
 *
 * @throws {StasisError} `bad-image`: as {@link savedRuns}, and where the parents are not what they must be
 */
export function taskRuns(images: ImageDirectory, pid: number): readonly SavedRun[] {
  return layeredRuns(images, ofTask(pid));
}

/**
 * The same of a shared memory object, by offset.
 *
 * @param id the number that names its pagemap
 */
export function objectRuns(images: ImageDirectory, id: bigint): readonly SavedRun[] {
  return layeredRuns(images, ofObject(id));
}

/** {@link taskRuns} of a checkpoint that others leave pages to: it is remembered for these. */
export function parentTaskRuns(images: ImageDirectory, pid: number): readonly SavedRun[] {
  return rememberedRuns(images, ofTask(pid));
}

/** {@link objectRuns} of a checkpoint that others leave pages to: it is remembered for these. */
export function parentObjectRuns(images: ImageDirectory, id: bigint): readonly SavedRun[] {
  return rememberedRuns(images, ofObject(id));
}

/** One pagemap in each layer. */
interface Sought {
  has(layer: Layer): boolean;
  read(layer: Layer): Pagemap;
  path(layer: Layer): string;
}

function ofTask(pid: number): Sought {
  const kind = ({ inner }: Layer) => inner ? PARENT_PAGEMAP : PAGEMAP;
  return {
    has: (layer) => layer.images.has(kind(layer), pid),
    read: (layer) => layer.images.readPagemap(kind(layer), pid),
    path: (layer) => layer.images.pathOf(kind(layer), pid),
  };
}

function ofObject(id: bigint): Sought {
  const kind = ({ inner }: Layer) => inner ? PARENT_SHMEM_PAGEMAP : SHMEM_PAGEMAP;
  return {
    has: (layer) => layer.images.has(kind(layer), id),
    read: (layer) => layer.images.readPagemap(kind(layer), id),
    path: (layer) => layer.images.pathOf(kind(layer), id),
  };
}

/** What was found in the images of a chain. */
interface Known {
  /** The pagemaps of all layers, as they were. */
  readonly states: readonly string[];
  readonly runs: readonly SavedRun[];
}

/** How it is called among what is remembered: the pagemap of the same name of all checkpoints. */
function nameOf(images: ImageDirectory, sought: Sought): string {
  return `runs of ${lastName(sought.path({ images, inner: false }))}`;
}

/** What tells the pagemaps of some layers from what may be in their places another time. */
function statesOf(layers: readonly Layer[], sought: Sought): string[] {
  return layers.map((layer) => sought.has(layer) ? stateOf(sought.path(layer)) : "none");
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one, at) => one === others[at]);
}

function rememberedRuns(images: ImageDirectory, sought: Sought): readonly SavedRun[] {
  // Before they are read: what is replaced meanwhile is another one.
  const states = statesOf(layersOf(images), sought);
  const name = nameOf(images, sought);
  const before = images.remembered?.get(name) as Known | undefined;
  const isSame = before !== undefined && areSame(before.states, states);
  const known = isSame ? before : { states, runs: layeredRuns(images, sought) };
  images.remembered?.set(name, known);
  return known.runs;
}

function layeredRuns(images: ImageDirectory, sought: Sought): readonly SavedRun[] {
  const known = images.remembered?.get(nameOf(images, sought)) as Known | undefined;
  /** The layers from the images on downwards, as far as pages are in the next, and what that has. */
  const stack: { readonly layer: Layer; readonly pagemap: Pagemap }[] = [];
  let parent: readonly SavedRun[] | undefined;
  let layer: Layer | undefined = { images, inner: false };
  while (layer !== undefined && sought.has(layer)) {
    const pagemap = sought.read(layer);
    stack.push({ pagemap, layer });
    // Of images that need no parent none is looked for.
    if (!pagemap.entries.some(({ flags }) => (flags & PE_PARENT) !== 0)) break;
    const below: readonly Layer[] = layersOf(images).slice(stack.length);
    layer = below[0];
    if (known?.states.length !== below.length) continue;
    if (!areSame(known.states, statesOf(below, sought))) continue;
    parent = known.runs;
    break;
  }
  return stack.reduceRight<readonly SavedRun[] | undefined>((parent, { pagemap, layer }) => {
    const kind = layer.inner ? PARENT_PAGES : PAGES;
    const pages = layer.images.pathOf(kind, pagemap.pagesId);
    return savedRuns(pagemap, { file: sought.path(layer), pages, parent });
  }, parent) ?? [];
}
