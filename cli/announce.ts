/**
 * How a restore tells others that the tree runs: its pid in a file (`--pidfile`), and a byte on a descriptor
 * (`--status-fd`).
 *
 * @module
 */
import { errnoName, isErrno } from "../core/linux/errno.ts";
import { syscall } from "../core/linux/libc_ffi.ts";
import { POLL, pollNow } from "../core/linux/terminal.ts";
import { SYSCALLS } from "../core/linux/x86_64/syscalls.ts";
import { parseInherited, requireWritable } from "./inherited.ts";
import { PidFile } from "./pid_file.ts";

/** The last of the standard streams: they are used after the tree is told of. */
const STDERR = 2;

/** What is to be told, and where. Disposing of it removes the file, unless the tree runs. */
export class Announcement implements Disposable {
  readonly #file: PidFile | undefined;
  readonly #descriptor: number | undefined;

  /**
   * Looks at the descriptor and makes the file, empty, so that what stands against them is known before anything is
   * restored.
   *
   * @throws {StasisError} `usage`; `exists`; `io`
   */
  constructor({ pidfile, statusFd }: { readonly pidfile?: string; readonly statusFd?: string }) {
    if (statusFd !== undefined) {
      this.#descriptor = parseInherited(statusFd, "--status-fd");
      requireWritable(this.#descriptor, "--status-fd");
    }
    this.#file = pidfile === undefined ? undefined : new PidFile(pidfile);
  }

  /** Takes the pid of a tree that is whole and does not run yet. @throws {StasisError} `io` */
  readonly prepare = (pid: number): void => this.#file?.write(pid);

  /** Tells that the tree runs. @returns why that could not be told, a sentence */
  tell(): string | undefined {
    this.#file?.keep();
    const fd = this.#descriptor;
    if (fd === undefined) return undefined;
    // Who does not read must not hold up the tool, which by now is what others wait for.
    const isReady = (pollNow(fd) & POLL.OUT) !== 0;
    const written = isReady ? syscall(SYSCALLS.write, fd, new Uint8Array(1), 1) : undefined;
    if (fd > STDERR) syscall(SYSCALLS.close, fd);
    if (written === undefined) {
      return `cannot write to descriptor ${fd}: nobody reads what it holds`;
    }
    return isErrno(written)
      ? `cannot write to descriptor ${fd}: ${errnoName(-written)}`
      : undefined;
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }
}
