/**
 * The file that names the root of a restored tree (`--pidfile`).
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { ioError } from "../base/io_error.ts";

/** The file, empty until the tree is there. Disposing of it removes the file, unless it is to be kept. */
export class PidFile implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  #kept = false;

  /**
   * Makes the file, so that what stands against it is known before anything is restored. An empty one that nobody
   * holds is of a restore that was killed, and names no process: it is replaced.
   *
   * @throws {StasisError} `exists`; `io`
   */
  constructor(path: string) {
    this.#path = path;
    this.#file = reserve(path);
  }

  /** Writes the pid, to the disk as well. @throws {StasisError} `io` */
  write(pid: number): void {
    const bytes = new TextEncoder().encode(`${pid}`);
    try {
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
      this.#file.syncDataSync();
    } catch (cause) {
      throw ioError(`write ${pid} to ${this.#path}`, cause);
    }
  }

  /** The tree runs: the file stays. */
  keep(): void {
    this.#kept = true;
  }

  [Symbol.dispose](): void {
    if (!this.#kept && leadsTo(this.#path, this.#file)) Deno.removeSync(this.#path);
    this.#file.close();
  }
}

/** Makes a file that is locked for as long as it is open. */
function reserve(path: string): Deno.FsFile {
  removeLeftOver(path);
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) throw taken(path, cause);
    throw ioError(`write ${path}`, cause);
  }
  // Somebody may have taken it for one that was left in between.
  if (tryLock(file) && leadsTo(path, file)) return file;
  file.close();
  throw taken(path);
}

function taken(path: string, cause?: unknown): StasisError {
  return new StasisError("exists", `${path} exists already`, {
    hint: "remove it if the process that it names is gone, or name another file",
    cause,
  });
}

/** Removes a file that is empty and that no restore holds. */
function removeLeftOver(path: string): void {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    if (!isFile || size > 0) return;
    using file = Deno.openSync(path, { write: true });
    if (file.statSync().size === 0 && tryLock(file) && leadsTo(path, file)) Deno.removeSync(path);
  } catch {
    // Whatever stands against it stands against making the file as well, and is told then.
  }
}

/** Locks a file, as flock(2) does. Some file systems have no locks: there nobody can be seen to hold one. */
function tryLock(file: Deno.FsFile): boolean {
  try {
    return file.tryLockSync(true);
  } catch {
    return true;
  }
}

/** Whether a path leads to an open file, and not, by now, to another one or none. */
function leadsTo(path: string, file: Deno.FsFile): boolean {
  try {
    const [there, own] = [Deno.lstatSync(path), file.statSync()];
    return there.dev === own.dev && there.ino === own.ino;
  } catch {
    return false;
  }
}
