/**
 * Files that a restore opens or names for the tree, as a plan has them.
 *
 * @module
 */

/** A descriptor of this process, or a path to open here, that the seed gets under a number. */
export interface ServiceFile {
  /** The number in the seed and in all tasks, until the close stage. */
  readonly number: number;
  /** What to open here; absent where `descriptor` is given. */
  readonly path?: string;
  /** `O_*` for opening it. */
  readonly flags: number;
  /** A descriptor of this process. */
  readonly descriptor?: number;
}

/** A file that gets its name when all else is done. */
export interface LastName {
  /** The directory in which its private directory is. */
  readonly parent: string;
  /** Where it is until then, relative to the private directory. */
  readonly inside: string;
  /** Its name, absolute. */
  readonly path: string;
}
