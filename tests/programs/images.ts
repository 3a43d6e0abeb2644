/**
 * Places for the images of tests.
 *
 * @module
 */

/** A temporary directory that holds image directories and what belongs to them. */
export class Images implements AsyncDisposable {
  readonly #parent: string;
  #count = 0;

  private constructor(parent: string) {
    this.#parent = parent;
  }

  /** Makes the temporary directory. */
  static async create(): Promise<Images> {
    return new Images(await Deno.makeTempDir({ prefix: "stasis-programs-" }));
  }

  /** The path of a directory that does not exist yet. */
  next(): string {
    return `${this.#parent}/${this.#count++}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#parent, { recursive: true });
  }
}
