/**
 * Names of files that a checkpoint makes outside of its directory, which its images refer to. They are noted in the
 * directory while that is in the making, each before it is made: whoever deletes what a dead owner has left takes them
 * away as well.
 *
 * @module
 */
import { decodeBytes, encodeBytes } from "../base/byte_text.ts";
import { ioError } from "../base/io_error.ts";

/** A name, and which file it is of. */
export interface OutsideName {
  /** Absolute. */
  readonly path: string;
  /** As stat(2) tells them. */
  readonly dev: number;
  readonly ino: number;
}

/** The file in which they are noted: `DEV INO PATH` and a NUL each. */
export const OUTSIDE_NAMES = ".outside-names";

/** Notes one. @throws {StasisError} `io` */
export function noteOutsideName(directory: string, { path, dev, ino }: OutsideName): void {
  const file = `${directory}/${OUTSIDE_NAMES}`;
  try {
    Deno.writeFileSync(file, encodeBytes(`${dev} ${ino} ${path}\0`), { append: true });
  } catch (cause) {
    throw ioError(`write ${file}`, cause);
  }
}

/** Those that are noted; none where that cannot be read. One that was cut short is none. */
export function readOutsideNames(directory: string): OutsideName[] {
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(`${directory}/${OUTSIDE_NAMES}`);
  } catch {
    return [];
  }
  return decodeBytes(bytes).split("\0").slice(0, -1).flatMap((line) => {
    const [, dev, ino, path] = /^(\d+) (\d+) (\/.*)$/s.exec(line) ?? [];
    return path === undefined ? [] : [{ path, dev: Number(dev), ino: Number(ino) }];
  });
}

/** Forgets all. That it fails does not matter: a directory that is whole has no owner who could be dead. */
export function forgetOutsideNames(directory: string): void {
  try {
    Deno.removeSync(`${directory}/${OUTSIDE_NAMES}`);
  } catch {
    // Nearly always there is none.
  }
}
