/**
 * Looking for files by their handles: open_by_handle_at(2).
 *
 * @module
 */
import { isErrno } from "./errno.ts";
import { AT_FDCWD, O } from "./fcntl.ts";
import { type FileIdentity, identifyFile, isSameFile } from "./file_identity.ts";
import { readLink } from "./files.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { errnoOf, type FileHandle, type MountInfo, readMountinfo } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** The head of `struct file_handle` (`include/uapi/linux/fcntl.h`): the handle's length and type. */
const HEAD = 8;

/**
 * Finds paths of files, by what is known of them. The first look for a handle on a mount opens that mount's directory
 * for reading, which whoever watches it is told of: so there is one finder for many files.
 */
export class FileFinder implements Disposable {
  readonly #mounts: readonly MountInfo[] = readMountinfo(Deno.pid);
  /** The directories of mounts, open; undefined where that cannot be. */
  readonly #roots = new Map<number, OwnedDescriptor | undefined>();

  /** Whether a path leads to a file, itself and not by a symbolic link. */
  isAt(path: string, file: FileIdentity): boolean {
    const found = this.identify(path);
    return found !== undefined && isSameFile(found, file);
  }

  /**
   * A path that leads to a file, whatever it is called by now.
   *
   * @returns undefined where it has been deleted, its file system has no handles, its path is longer than any that can
   * be opened (PATH_MAX), or this process may not (CAP_DAC_READ_SEARCH)
   */
  byHandle(file: FileIdentity, handle: FileHandle): string | undefined {
    const bytes = new Uint8Array(HEAD + handle.bytes.byteLength);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, handle.bytes.byteLength, true);
    view.setInt32(4, handle.type, true);
    bytes.set(handle.bytes, HEAD);
    for (const mount of this.#mounts) {
      if (mount.dev.major !== file.dev.major || mount.dev.minor !== file.dev.minor) continue;
      const root = this.#rootOf(mount);
      if (root === undefined) continue;
      const opened = syscall(SYSCALLS.open_by_handle_at, root.fd, bytes, O.PATH | O.CLOEXEC);
      if (isErrno(opened)) continue;
      using found = new OwnedDescriptor(Number(opened));
      const path = pathOf(found);
      // A bind mount may show another part of the file system, and a deleted file has a path that leads nowhere.
      if (path?.startsWith("/") && this.isAt(path, file)) return path;
    }
    return undefined;
  }

  /** The file that a path leads to, itself and not by a symbolic link; undefined where there is none. */
  identify(path: string): FileIdentity | undefined {
    return identifyFile(path, O.NOFOLLOW, this.#mounts);
  }

  #rootOf({ id, mountPoint }: MountInfo): OwnedDescriptor | undefined {
    if (!this.#roots.has(id)) {
      const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
      const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(mountPoint), flags, 0);
      this.#roots.set(id, isErrno(opened) ? undefined : new OwnedDescriptor(Number(opened)));
    }
    return this.#roots.get(id);
  }

  [Symbol.dispose](): void {
    for (const root of this.#roots.values()) root?.[Symbol.dispose]();
    this.#roots.clear();
  }
}

/** @returns undefined where it is longer than the kernel tells */
function pathOf({ fd }: OwnedDescriptor): string | undefined {
  try {
    return readLink(`/proc/self/fd/${fd}`);
  } catch (error) {
    if (errnoOf(error) === "ENAMETOOLONG") return undefined;
    throw error;
  }
}
