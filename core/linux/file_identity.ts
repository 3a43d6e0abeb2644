/**
 * Files as the kernel itself calls them in `/proc/locks` and in the fdinfo of what watches files: by the inode's
 * number and the device of the file system. On some file systems (btrfs, overlayfs) that is not what stat(2) says.
 *
 * @module
 */
import { isErrno } from "./errno.ts";
import { AT_FDCWD, O } from "./fcntl.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { type DeviceNumber, type MountInfo, readFdInfo, readMountinfo } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** A file. */
export interface FileIdentity {
  readonly dev: DeviceNumber;
  readonly inode: bigint;
}

/** Whether two are the same file. */
export function isSameFile(
  a: FileIdentity,
  b: { readonly dev?: DeviceNumber; readonly inode: bigint },
): boolean {
  return a.inode === b.inode && a.dev.major === b.dev?.major && a.dev.minor === b.dev.minor;
}

/**
 * Which file a path leads to.
 *
 * @param flags `O_*` beside O_PATH, with which nobody is asked to give a lease back
 * @param mounts those that are seen from here
 * @returns undefined if there is none, or it is on a mount that is not seen from here
 */
export function identifyFile(
  path: string,
  flags = 0,
  mounts: readonly MountInfo[] = readMountinfo(Deno.pid),
): FileIdentity | undefined {
  const how = O.PATH | O.CLOEXEC | flags;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), how, 0);
  if (isErrno(opened)) return undefined;
  using file = new OwnedDescriptor(Number(opened));
  const { mountId, ino } = readFdInfo(Deno.pid, file.fd) ?? {};
  const mount = mounts.find(({ id }) => id === mountId);
  return mount === undefined || ino === undefined ? undefined : { dev: mount.dev, inode: ino };
}
