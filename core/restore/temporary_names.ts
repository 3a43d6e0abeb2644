/**
 * Names that files have for a moment while a tree is restored: deleted files are made under the names that they
 * had, which `/proc` goes on telling. Pure.
 *
 * The calls are made by a task that outlives the tool, so that what they make they take away again, whatever
 * happens to the tool in between.
 *
 * @module
 */
import { type Argument, type CallResult, SyscallProgram } from "../remote/program.ts";

/** A name that was made. */
interface Made {
  readonly by: CallResult;
  readonly how: "unlink" | "rmdir";
  readonly path: string;
  removed?: CallResult;
}

/** The calls that make names, use them and take them away. */
export class TemporaryNames {
  readonly program: SyscallProgram = new SyscallProgram("the names of deleted files");
  readonly #made: Made[] = [];

  /**
   * Says that a call makes a name which must go again.
   *
   * @returns adds the call that takes it away
   */
  made(by: CallResult, how: "unlink" | "rmdir", path: string): () => void {
    const one: Made = { by, how, path };
    this.#made.push(one);
    return () => void (one.removed = this.program.call(how, path));
  }

  /** Moves a descriptor to a service number of the seed, which shares its table. */
  keep(fd: Argument, number: number): void {
    this.program.call("dup3", fd, number, 0);
    this.program.call("close", fd);
  }

  /** The calls that take away what is there still where a call has failed. @param failed its index */
  undo(failed: number): SyscallProgram {
    const program = new SyscallProgram("clearing the names of deleted files");
    for (const { by, how, path, removed } of [...this.#made].reverse()) {
      const isThere = by.index < failed && (removed === undefined || removed.index >= failed);
      if (isThere) program.try(how, path);
    }
    return program;
  }
}
