/**
 * The file systems of the files that a tree writes. A restore that cuts files back takes those alone that are as long as
 * they were: after a power cut they are where they were on the disk before the images got their name. What is on the
 * images' own file system comes there with them.
 *
 * @module
 */
import { syncAround } from "../../core/linux/sync.ts";
import { parentPath } from "../../images/path.ts";

/** Gathers files, and puts what is written to them on the disk. */
export class WrittenFileSystems {
  readonly #directories = new Set<string>();

  /** @param path of a file that is written to */
  add(path: string): void {
    this.#directories.add(parentPath(path));
  }

  /**
   * Writes all of them to the disk but the one that the images are on.
   *
   * @param images the directory that they are in
   * @param check is called before each, and may throw
   * @throws {StasisError} `io`
   */
  sync(images: string, check: () => void): void {
    const done = new Set([Deno.statSync(images).dev]);
    for (const directory of this.#directories) {
      const device = deviceOf(directory);
      if (device === undefined || done.has(device)) continue;
      done.add(device);
      check();
      syncAround(directory);
    }
  }
}

/** The device number; undefined of a directory that is gone, with the files in it. */
function deviceOf(directory: string): number | undefined {
  try {
    return Deno.statSync(directory).dev;
  } catch {
    return undefined;
  }
}
