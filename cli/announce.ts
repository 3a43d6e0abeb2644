/**
 * How a restore tells others that the tree runs: its pid in a file (`--pidfile`), and a byte on a descriptor
 * (`--status-fd`), as CRIU does it.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { ioError } from "../base/io_error.ts";
import { errnoName, isErrno } from "../core/linux/errno.ts";
import { F } from "../core/linux/fcntl.ts";
import { syscall } from "../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../core/linux/x86_64/syscalls.ts";

/** What is to be told, and where. Disposing of it removes the file, unless that has got its pid. */
export class Announcement implements Disposable {
  readonly #path: string | undefined;
  readonly #file: Deno.FsFile | undefined;
  readonly #descriptor: number | undefined;
  #told = false;

  /**
   * Makes the file, empty, so that what stands against it is known before anything is restored.
   *
   * @throws {StasisError} `usage`; `exists`; `io`
   */
  constructor({ pidfile, statusFd }: { readonly pidfile?: string; readonly statusFd?: string }) {
    this.#descriptor = statusFd === undefined ? undefined : parseDescriptor(statusFd);
    this.#path = pidfile;
    this.#file = pidfile === undefined ? undefined : createFile(pidfile);
  }

  /** Tells the pid of a tree that runs. @returns what could not be told, a sentence each */
  tell(pid: number): string[] {
    this.#told = true;
    const untold: string[] = [];
    try {
      this.#file?.writeSync(new TextEncoder().encode(`${pid}`));
    } catch (cause) {
      untold.push(ioError(`write ${pid} to ${this.#path}`, cause).message);
    }
    if (this.#descriptor !== undefined) {
      const written = syscall(SYSCALLS.write, this.#descriptor, new Uint8Array(1), 1);
      syscall(SYSCALLS.close, this.#descriptor);
      if (isErrno(written)) {
        untold.push(`cannot write to descriptor ${this.#descriptor}: ${errnoName(-written)}`);
      }
    }
    return untold;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    if (!this.#told && this.#path !== undefined) Deno.removeSync(this.#path);
  }
}

function createFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, createNew: true });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw ioError(`write ${path}`, cause);
    throw new StasisError("exists", `${path} exists already`, {
      hint: "remove it if the process that it names is gone, or name another file",
      cause,
    });
  }
}

/** Reads the number of a descriptor of this process that is open. */
function parseDescriptor(text: string): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (isErrno(syscall(SYSCALLS.fcntl, number, F.GETFL, 0))) {
    throw new StasisError("usage", `"${text}" is no descriptor that is open`, {
      hint: "open it by a redirection of the shell, as in: 5>pipe",
    });
  }
  return number;
}
