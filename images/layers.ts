/**
 * The layers of an image directory: itself, its inner parent, the checkpoint before with its own inner parent, and so
 * on. Where a pagemap of one says that pages are in the parent, the pagemap of the same name in the next has them.
 *
 * A chain counts as hostile, as all images do: it may be endless, lead to something else, or to a checkpoint that was
 * made anew since.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { ioError } from "../base/io_error.ts";
import { crc32ByTables } from "./checksum.ts";
import { ImageDirectory } from "./directory.ts";
import { LINEAGE } from "./kinds/lineage.ts";
import { findParent, PARENT } from "./parent.ts";

/** So many checkpoints a chain has at the most, in which each needs the next. */
export const MOST_CHECKPOINTS = 128;

/** One layer. */
export interface Layer {
  /** The image directory that has it, with the manifest that describes it. */
  readonly images: ImageDirectory;
  /** Whether it is the inner parent of that. */
  readonly inner: boolean;
}

const known = new WeakMap<ImageDirectory, readonly Layer[]>();

/**
 * All layers, the images themselves first.
 *
 * @throws {StasisError} `bad-image` where the chain is broken; `io`
 */
export function layersOf(images: ImageDirectory): readonly Layer[] {
  let layers = known.get(images);
  if (layers === undefined) known.set(images, layers = findLayers(images));
  return layers;
}

/**
 * The image directories that are needed to restore one: itself first, then the checkpoints before, where they lie.
 *
 * @throws {StasisError} as {@link layersOf}, and where it is no image directory
 */
export function directoriesOf(directory: string): string[] {
  return checkpointsOf(ImageDirectory.open(directory)).map(({ path }) => Deno.realPathSync(path));
}

/**
 * Compares the contents of all images that are needed with the checksums of their manifests.
 *
 * @param step is called between two parts, and may throw
 * @returns how many bytes were compared
 * @throws {StasisError} as {@link layersOf} and `ImageDirectory.verifyContents()`
 */
export async function verifyChain(
  images: ImageDirectory,
  step: () => void | Promise<void> = () => {},
): Promise<bigint> {
  let total = 0n;
  for (const one of checkpointsOf(images)) total += await one.verifyContents(step);
  return total;
}

/** The checkpoints that the images need, themselves first. @throws {StasisError} as {@link layersOf} */
export function checkpointsOf(images: ImageDirectory): readonly ImageDirectory[] {
  return layersOf(images).flatMap((layer) => layer.inner ? [] : [layer.images]);
}

function findLayers(images: ImageDirectory): Layer[] {
  const layers: Layer[] = [{ images, inner: false }];
  const seen = new Set([identityOf(images.path)]);
  for (let current = images;;) {
    const { inner, path: place } = findParent(current.path);
    if (inner) layers.push({ images: current, inner });
    if (place === undefined) return layers;
    const path = follow(place, current);
    const identity = identityOf(path);
    if (seen.has(identity)) {
      throw broken(`the parents of ${images.path} lead in a circle, to ${path} again`);
    }
    if (seen.size >= MOST_CHECKPOINTS) {
      throw broken(`${images.path} has more than ${MOST_CHECKPOINTS - 1} parents`);
    }
    seen.add(identity);
    const next = openParent(path, current);
    layers.push({ images: next, inner: false });
    current = next;
  }
}

/** Where a parent really lies. */
function follow(place: string, of: ImageDirectory): string {
  try {
    return Deno.realPathSync(place);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      const to = Deno.readLinkSync(place);
      throw broken(`the parent of ${of.path} is not there: ${PARENT} leads to ${to}`, cause);
    }
    throw broken(`the parent of ${of.path} cannot be found`, cause);
  }
}

function identityOf(path: string): string {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch (cause) {
    throw ioError(`look at ${path}`, cause);
  }
}

/** Opens the checkpoint before one, and sees whether it is that. */
function openParent(path: string, child: ImageDirectory): ImageDirectory {
  let parent: ImageDirectory;
  try {
    parent = child.openOther(path);
    parent.verify();
  } catch (cause) {
    if (!(cause instanceof StasisError) || cause.code !== "bad-image") throw cause;
    throw broken(`the parent of ${child.path} cannot be used: ${cause.message}`, cause);
  }
  // CRIU's images do not say whose children they are.
  if (!child.has(LINEAGE, null)) return parent;
  const wanted = child.read(LINEAGE, null).parentSum;
  const sum = stateSum(parent);
  if (sum === wanted) return parent;
  throw broken(
    sum === undefined
      ? `the parent of ${child.path}, ${path}, has lost its manifest: nothing tells whether it is what it was`
      : `the parent of ${child.path}, ${path}, is another checkpoint than the one that it was made after`,
  );
}

function broken(message: string, cause?: unknown): StasisError {
  return new StasisError("bad-image", message, {
    hint: "have all checkpoints of the chain in place, as they were written",
    cause,
  });
}

/**
 * Tells a checkpoint from all others: CRC-32 over the names, sizes and checksums of its images but those of pages,
 * which are others when it is merged with its parents.
 *
 * @returns undefined where it has no manifest, as CRIU's
 * @throws {StasisError} `bad-image`
 */
export function stateSum({ manifest }: Pick<ImageDirectory, "manifest">): number | undefined {
  if (manifest.size === 0) return undefined;
  const lines = [...manifest.values()]
    .filter(({ name }) => !isOfPages(name))
    .map(({ name, size, crc32 }) => `${name} ${size} ${crc32.join(" ")}\n`);
  return crc32ByTables(new TextEncoder().encode(lines.sort().join("")));
}

/** Whether an image says what is in memory, or where that is. */
export function isOfPages(name: string): boolean {
  return name.startsWith(`${PARENT}/`) || /^(pages|pagemap)-/.test(name) || name === LINEAGE.file;
}
