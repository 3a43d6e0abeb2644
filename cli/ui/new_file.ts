/**
 * A file that a command makes: whole, or not there.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { ioError } from "../../base/io_error.ts";

/** The file while it is written. */
export interface NewFile {
  /** Writes all of some bytes at an offset. */
  write(bytes: Uint8Array, offset: bigint): void;
  /** Sets its size in bytes. */
  resize(size: bigint): void;
}

/**
 * Makes a file.
 *
 * @param fill writes it; what it throws is thrown on, without a file
 * @param mode for its owner alone if not given: most have memory of programs
 * @throws {StasisError} `exists`, `io`
 */
export function withNewFile(
  path: string,
  fill: (file: NewFile) => void,
  mode = 0o600,
): void {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true, mode });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw ioError(`create ${path}`, cause);
    throw new StasisError("exists", `${path} exists already`, {
      hint: "name another file, or remove that one first",
    });
  }
  try {
    using _open = file;
    fill({
      write(bytes, offset) {
        attempt(`write ${path}`, () => {
          file.seekSync(offset, Deno.SeekMode.Start);
          for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
        });
      },
      resize(size) {
        attempt(`write ${path}`, () => file.truncateSync(Number(size)));
      },
    });
  } catch (error) {
    Deno.removeSync(path);
    throw error;
  }
}

function attempt(what: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw ioError(what, cause);
  }
}
