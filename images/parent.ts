/**
 * The parent of an image directory: `parent` in it, in which pages are that a pagemap says to be in the parent. It is
 * one of two things. A link leads to the checkpoint before, which is an image directory by itself (as CRIU makes it,
 * and as `cp -RL` leaves it: a copy in its place). A directory without an inventory is a part of the images: an inner
 * one, which has what several processes have in common, and may itself have a parent.
 *
 * @module
 */
import { ioError } from "../base/io_error.ts";
import { absolutePath, parentPath } from "./path.ts";

/** Its name (CRIU's criu/include/image-desc.h). */
export const PARENT = "parent";

/** What makes a directory an image directory by itself. */
export const INVENTORY_FILE = "inventory.img";

/**
 * The names of all files of an image directory, those of its inner parent with that before them:
 * `parent/pages-1.img`. What belongs to a checkpoint before is not among them.
 *
 * @throws what the runtime throws where the directory itself cannot be read; a parent that cannot be read has no files
 */
export function imageNames(directory: string): string[] {
  const names: string[] = [];
  for (const { name, isDirectory, isSymlink } of Deno.readDirSync(directory)) {
    if (name !== PARENT || !isDirectory && !isSymlink) names.push(name);
    else if (isDirectory) names.push(...innerNames(directory));
  }
  return names;
}

function innerNames(directory: string): string[] {
  try {
    const names = Array.from(Deno.readDirSync(`${directory}/${PARENT}`), ({ name }) => name);
    if (names.includes(INVENTORY_FILE)) return [];
    return names.filter((name) => name !== PARENT).map((name) => `${PARENT}/${name}`);
  } catch {
    return []; // whoever needs a file of it says that it is missing
  }
}

/** Where the checkpoint before is named, if it is. */
export interface ParentPlace {
  /** Whether the images have an inner parent. */
  readonly inner: boolean;
  /** What is there may be a link that leads nowhere. */
  readonly path: string | undefined;
}

/** Looks for the parents of an image directory. @throws {StasisError} `io` */
export function findParent(directory: string): ParentPlace {
  const outer = `${directory}/${PARENT}`;
  const inner = isThere(outer, ({ isDirectory }) => isDirectory) &&
    !isThere(`${outer}/${INVENTORY_FILE}`, () => true);
  const path = inner ? `${outer}/${PARENT}` : outer;
  return { inner, path: isThere(path, () => true) ? path : undefined };
}

function isThere(path: string, is: (info: Deno.FileInfo) => boolean): boolean {
  try {
    return is(Deno.lstatSync(path));
  } catch (cause) {
    const missing = cause instanceof Deno.errors.NotFound ||
      cause instanceof Deno.errors.NotADirectory;
    if (missing) return false;
    throw ioError(`look at ${path}`, cause);
  }
}

/**
 * The directory of the checkpoint before, where it is, or would be; undefined where none is needed. Nothing is read but
 * the links: whether it is the right one, `layers.ts` tells.
 *
 * @throws {StasisError} `io`
 */
export function parentDirectory(directory: string): string | undefined {
  const { path } = findParent(directory);
  if (path === undefined) return undefined;
  try {
    return Deno.realPathSync(path);
  } catch {
    return absolutePath(`${parentPath(path)}/${Deno.readLinkSync(path)}`);
  }
}

/** Makes the inner parent of an image directory, mode 0700, unless it is there. @throws {StasisError} `io` */
export function makeParent(directory: string): void {
  const path = `${directory}/${PARENT}`;
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    // Through a link it would be written into another checkpoint.
    if (cause instanceof Deno.errors.AlreadyExists && findParent(directory).inner) return;
    throw ioError(`create ${path}`, cause);
  }
}

/** Takes a file of an image directory away, and its inner parent where nothing is left in it. @throws {StasisError} `io` */
export function removeFile(directory: string, name: string): void {
  try {
    Deno.removeSync(`${directory}/${name}`);
    if (name.startsWith(`${PARENT}/`) && innerNames(directory).length === 0) {
      Deno.removeSync(`${directory}/${PARENT}`);
    }
  } catch (cause) {
    throw ioError(`remove ${directory}/${name}`, cause);
  }
}

/**
 * Links an image directory, or its inner parent where it has one, to the checkpoint before: relative, so that both can
 * be moved together.
 *
 * @param directory will not be moved to another directory
 * @throws {StasisError} `io`
 */
export function linkParent(directory: string, before: string): void {
  try {
    const { inner } = findParent(directory);
    const from = Deno.realPathSync(inner ? `${directory}/${PARENT}` : directory);
    Deno.symlinkSync(relativePath(from, Deno.realPathSync(before)), `${from}/${PARENT}`);
  } catch (cause) {
    throw ioError(`link ${directory} to its parent ${before}`, cause);
  }
}

/** The way from one directory to another. Both are absolute, and lead through no links. */
export function relativePath(from: string, to: string): string {
  const [start, end] = [from, to].map((path) => path.split("/").filter((part) => part !== ""));
  const steps = start as string[], wanted = end as string[];
  let common = 0;
  while (common < steps.length && common < wanted.length && steps[common] === wanted[common]) {
    common++;
  }
  const way = [...steps.slice(common).map(() => ".."), ...wanted.slice(common)];
  return way.join("/") || ".";
}
