/**
 * The names in a directory, which may be any bytes (`base/byte_text.ts`).
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import { isErrno } from "./errno.ts";
import { AT_FDCWD, O } from "./fcntl.ts";
import { fileError } from "./files.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/**
 * The names in a directory, `.` and `..` among them, in the file system's order.
 *
 * @throws {StasisError} `io` with the errno's name
 */
export function readNames(path: string): string[] {
  const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags, 0);
  if (isErrno(opened)) throw fileError("open the directory", path, opened);
  using directory = new OwnedDescriptor(Number(opened));
  const names: string[] = [];
  const bytes = new Uint8Array(1 << 15);
  const view = new DataView(bytes.buffer);
  for (;;) {
    const size = syscall(SYSCALLS.getdents64, directory.fd, bytes, bytes.byteLength);
    if (isErrno(size)) throw fileError("read the directory", path, size);
    if (size === 0n) return names;
    // struct linux_dirent64: inode and offset, 8 bytes each; the record's length, 2; the type, 1; the name.
    for (let at = 0; at < Number(size); at += view.getUint16(at + 16, true)) {
      names.push(decodeBytes(bytes.subarray(at + 19, bytes.indexOf(0, at + 19))));
    }
  }
}
