/**
 * The parent of an image directory: the directory `parent` in it (CRIU: or a link to another one). Pages that a
 * pagemap says to be in the parent are in the pages file of the pagemap of the same process there.
 *
 * @module
 */
import { ioError } from "../base/io_error.ts";

/** Its name (CRIU's criu/include/image-desc.h). */
export const PARENT = "parent";

/**
 * The names of all files of an image directory, those of its parent with that before them: `parent/pages-1.img`.
 *
 * @throws what the runtime throws where the directory itself cannot be read; a parent that cannot be read has no files
 */
export function imageNames(directory: string): string[] {
  const names: string[] = [];
  for (const { name, isFile } of Deno.readDirSync(directory)) {
    if (name === PARENT && !isFile) names.push(...parentNames(directory));
    else names.push(name);
  }
  return names;
}

function parentNames(directory: string): string[] {
  try {
    return Array.from(
      Deno.readDirSync(`${directory}/${PARENT}`),
      ({ name }) => `${PARENT}/${name}`,
    );
  } catch {
    return []; // whoever needs a file of it says that it is missing
  }
}

/** Makes the parent of an image directory, mode 0700, unless it is there. @throws {StasisError} `io` */
export function makeParent(directory: string): void {
  const path = `${directory}/${PARENT}`;
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw ioError(`create ${path}`, cause);
  }
}
