/**
 * Directories that a restore makes before it opens any file. Pure.
 *
 * @module
 */

/** A set of directories with all that is in them. */
export class MadeDirectories {
  readonly #all = new Set<string>();

  /** Adds one. @param directory absolute, without a slash at the end */
  add(directory: string): void {
    this.#all.add(directory);
  }

  /** Whether a path is one of them or in one. */
  has(path: string): boolean {
    if (this.#all.size === 0) return false;
    for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      if (this.#all.has(at)) return true;
    }
    return false;
  }
}
