/**
 * Names that files of a restored tree get when all else is done: until then they are in directories of this
 * restore's own, so that one that fails, or is killed, has changed nothing outside. Such a directory is beside the
 * name, on the same file system, and locked: the next restore there deletes those whose owners have died.
 *
 * @module
 */
import { createPartial, type Partial, removeAbandoned } from "../../images/partial.ts";
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { fileError, lstatPath } from "../linux/files.ts";
import { lockDirectory } from "../linux/flock.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import { OwnedDescriptor } from "../linux/pidfd.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { lastName } from "../../images/path.ts";
import { renaming } from "./keeper.ts";
import type { UndoingCall } from "./undoing_call.ts";
import type { RestorePlan } from "./plan.ts";
import type { ServiceFile } from "./plan_files.ts";

/** `include/uapi/linux/fs.h`. */
const RENAME_NOREPLACE = 1;
const O_PATH_DIRECTORY = 0o10200000, O_CLOEXEC = 0o2000000;

/** The private directories of one restore. Disposing of it deletes them, with what has no name yet. */
export class LastNames implements Disposable {
  readonly #plan: RestorePlan;
  readonly #note: (text: string) => void;
  readonly #directories = new Map<string, Partial>();
  readonly #parents = new DisposableStack();

  /**
   * Makes the directories.
   *
   * @param note is told what a restore that was killed had left behind, and is deleted; and what cannot be deleted
   */
  constructor(plan: RestorePlan, note: (text: string) => void) {
    this.#plan = plan;
    this.#note = note;
    using undo = new DisposableStack();
    undo.adopt(this, (names) => names[Symbol.dispose]());
    for (const parent of plan.privateDirectories.keys()) {
      const target = `${parent === "/" ? "" : this.#asText(parent)}/names`;
      for (const path of removeAbandoned(target, lockDirectory)) {
        note(`${path} is deleted: what made it was killed`);
      }
      this.#directories.set(parent, createPartial(target, lockDirectory));
    }
    undo.move();
  }

  /** The directories as the seed is to have them. */
  get files(): ServiceFile[] {
    return [...this.#plan.privateDirectories].map(([parent, number]) => ({
      number,
      path: this.#pathOf(parent),
      flags: O_PATH_DIRECTORY,
    }));
  }

  /** What is to be done should this process die while it gives the names, or before the tree runs. */
  get undo(): UndoingCall[] {
    return this.#plan.lastNames.flatMap(({ parent, inside, path }) => {
      const directory = `${parent === "/" ? "" : parent}/${lastName(this.#pathOf(parent))}`;
      return [
        renaming(path, `${directory}/${inside}`),
        renaming(`${directory}/${formerName(inside)}`, path),
      ];
    });
  }

  /**
   * Gives all files their names. What had one of them is taken away: a socket to which nobody is bound any more.
   *
   * Each step is a rename to where nothing is. So whatever was done until some moment is undone by the opposite ones,
   * from the last to the first, where those fail that have nothing to undo ({@link undo}).
   *
   * @throws {StasisError} `conflict`; then none has its name
   */
  give(): void {
    using undo = new DisposableStack();
    for (const { parent, inside, path } of this.#plan.lastNames) {
      const directory = this.#pathOf(parent);
      const from = `${directory}/${inside}`, former = `${directory}/${formerName(inside)}`;
      let result = move(from, path);
      if (result === -BigInt(Errno.EEXIST)) {
        result = move(path, former);
        undo.defer(() => void move(former, path));
        if (!isErrno(result) && !lstatPath(former).isSocket) throw taken(path);
        if (!isErrno(result)) result = move(from, path);
      }
      if (isErrno(result)) throw failed(path, result);
      undo.defer(() => void move(path, from));
    }
    undo.move();
  }

  [Symbol.dispose](): void {
    for (const { path, lock } of this.#directories.values()) {
      try {
        Deno.removeSync(path, { recursive: true });
      } catch (error) {
        // Who may delete what is in it has done so. Nothing else fails for it: the tree may be running by now.
        if (error instanceof Deno.errors.NotFound) continue;
        this.#note(`${path} cannot be deleted, the next restore there will try again: ${error}`);
      } finally {
        lock?.[Symbol.dispose]();
      }
    }
    this.#directories.clear();
    this.#parents.dispose();
  }

  /** A path that Deno's own functions take: the directory's, or by a descriptor where that is no text. */
  #asText(directory: string): string {
    if (directory.isWellFormed()) return directory;
    const flags = O_PATH_DIRECTORY | O_CLOEXEC;
    const result = syscall(SYSCALLS.openat, AT_FDCWD, cString(directory), flags, 0);
    if (isErrno(result)) throw fileError("open", directory, result);
    return `/proc/self/fd/${this.#parents.use(new OwnedDescriptor(Number(result))).fd}`;
  }

  #pathOf(parent: string): string {
    return (this.#directories.get(parent) as Partial).path;
  }
}

/** Where what had a name before is meanwhile. */
function formerName(inside: string): string {
  return `${inside}.former`;
}

/** Moves a file to where nothing is. @returns 0, or the negative errno */
function move(from: string, to: string): bigint {
  const flags = RENAME_NOREPLACE;
  return syscall(SYSCALLS.renameat2, AT_FDCWD, cString(from), AT_FDCWD, cString(to), flags);
}

function failed(path: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("conflict", `${path} cannot get its name again: ${errno}`, { errno });
}

function taken(path: string): StasisError {
  return new StasisError("conflict", `${path} is another file by now`, {
    hint: "move it out of the way",
  });
}
