/**
 * The names in a directory, which may be any bytes (`base/byte_text.ts`).
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import { isErrno } from "./errno.ts";
import { O } from "./fcntl.ts";
import { atPath, fileError } from "./files.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: string;
  /** That of the file; of a directory on which something is mounted its own, not that of what is mounted. */
  readonly ino: bigint;
  /** `d_type` of getdents64(2), `DT_*` of `include/linux/fs_types.h`; 0 where the file system does not tell. */
  readonly type: number;
}

/**
 * The names in a directory, `.` and `..` among them, in the file system's order.
 *
 * @throws {StasisError} `io` with the errno's name
 */
export function readNames(path: string): string[] {
  return readEntries(path).map(({ name }) => name);
}

/** The same, with their inodes. */
export function readEntries(path: string): DirectoryEntry[] {
  const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
  const opened = atPath(path, (at, rest) => syscall(SYSCALLS.openat, at, cString(rest), flags, 0));
  if (isErrno(opened)) throw fileError("open the directory", path, opened);
  using directory = new OwnedDescriptor(Number(opened));
  const entries: DirectoryEntry[] = [];
  const bytes = new Uint8Array(1 << 15);
  const view = new DataView(bytes.buffer);
  for (;;) {
    const size = syscall(SYSCALLS.getdents64, directory.fd, bytes, bytes.byteLength);
    if (isErrno(size)) throw fileError("read the directory", path, size);
    if (size === 0n) return entries;
    // struct linux_dirent64: inode and offset, 8 bytes each; the record's length, 2; the type, 1; the name.
    for (let at = 0; at < Number(size); at += view.getUint16(at + 16, true)) {
      const name = decodeBytes(bytes.subarray(at + 19, bytes.indexOf(0, at + 19)));
      entries.push({ name, ino: view.getBigUint64(at, true), type: view.getUint8(at + 18) });
    }
  }
}
