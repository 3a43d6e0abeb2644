/**
 * What has been made of images, for whoever reads some of them again: a checkpoint after another one has the same parents
 * but for one, and reads each of them twice.
 *
 * @module
 */
import { ioError } from "../base/io_error.ts";

/** Holds it from one checkpoint to the next. What none of them has asked for since is forgotten. */
export class Remembered {
  #now = new Map<string, unknown>();
  #before = new Map<string, unknown>();

  /** Says that the next checkpoint begins. */
  turn(): void {
    // One that failed early has asked for little.
    if (this.#now.size > 0) this.#before = this.#now;
    this.#now = new Map();
  }

  /** What was noted last under a name; undefined where nothing was. The name tells what it is. */
  get(name: string): unknown {
    return this.#now.get(name) ?? this.#before.get(name);
  }

  /** Notes something, in place of what was noted under the name. */
  set(name: string, value: unknown): void {
    this.#now.set(name, value);
  }
}

/**
 * Tells a file from what another one, or the same with other contents, is at its path.
 *
 * @throws {StasisError} `io`, but not where it is not there
 */
export function stateOf(path: string): string {
  try {
    const { dev, ino, size, mtime, ctime } = Deno.statSync(path);
    return `${path} ${dev}:${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return `${path} -`;
    throw ioError(`look at ${path}`, cause);
  }
}
