/**
 * Names for deleted files that live on under other names which nobody knows (`--link-remap`): each gets one beside the
 * name that it had, `link_remap.N-R` (`images/link_remap.ts`), by which a restore finds it. That takes the name away again.
 *
 * @module
 */
import { isLinkRemap, linkRemapName } from "../../images/link_remap.ts";
import type { OutsideName } from "../../images/outside_names.ts";
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { lstatPath, statPath } from "../linux/files.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

const AT_SYMLINK_FOLLOW = 0x400;

/** Takes away a name that a dead checkpoint has made, if it is still that file's. */
export function removeLinkRemap({ path, dev, ino }: OutsideName): void {
  if (!isLinkRemap(path)) return;
  try {
    const found = lstatPath(path);
    if (found.dev === dev && found.ino === ino) syscall(SYSCALLS.unlink, cString(path));
  } catch (error) {
    // It is gone, or nobody may look there.
    if (!(error instanceof StasisError)) throw error;
  }
}

/** The names of one checkpoint. Disposing of it takes them away, unless they are to be kept. */
export class LinkRemaps implements Disposable {
  #made: string[] = [];
  readonly #note: (name: OutsideName) => void;

  /** @param note is told of each before it is made, for whoever outlives this process */
  constructor(note: (name: OutsideName) => void) {
    this.#note = note;
  }

  /**
   * Gives a file a name.
   *
   * @param behind a path below /proc that leads to it
   * @param directory where; on its file system
   * @param id the entry of `files.img` that will have it
   * @returns the name, absolute
   * @throws {StasisError} `io`
   */
  make(behind: string, directory: string, id: number): string {
    const { dev, ino } = statPath(behind);
    for (;;) {
      const [random] = crypto.getRandomValues(new BigUint64Array(1)) as unknown as [bigint];
      const path = `${directory === "/" ? "" : directory}/${linkRemapName(id, random)}`;
      this.#note({ path, dev, ino });
      const result = syscall(
        SYSCALLS.linkat,
        AT_FDCWD,
        cString(behind),
        AT_FDCWD,
        cString(path),
        AT_SYMLINK_FOLLOW,
      );
      if (!isErrno(result)) {
        this.#made.push(path);
        return path;
      }
      // Of other images: they need it still.
      if (result === -BigInt(Errno.EEXIST)) continue;
      const errno = errnoName(-result);
      throw new StasisError("io", `a deleted file could not get the name ${path}: ${errno}`, {
        errno,
        hint: "give it its own name back (ln), or close it before the checkpoint",
      });
    }
  }

  /** The images are whole: they need the names. */
  keep(): void {
    this.#made = [];
  }

  [Symbol.dispose](): void {
    for (const path of this.#made.splice(0)) syscall(SYSCALLS.unlink, cString(path));
  }
}
