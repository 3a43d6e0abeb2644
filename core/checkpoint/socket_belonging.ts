/**
 * Whom a socket belongs to: a user, a group, and a network namespace.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { OptionReader, SO } from "../linux/net/socket_options.ts";
import { FileStatus } from "../linux/stat.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

/** A user and a group, as fstat(2) and rules of the network see them. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Those of a socket, by a duplicate of its descriptor. @throws {StasisError} `syscall` */
export function readOwner(fd: number): Owner {
  const bytes = new Uint8Array(FileStatus.size);
  const result = syscall(SYSCALLS.fstat, fd, bytes);
  if (!isErrno(result)) return FileStatus.read(bytes);
  const errno = errnoName(-result);
  throw new StasisError("syscall", `fstat() of a socket failed: ${errno}`, { errno });
}

/** What {@link namespaceCookie} asks for. */
const COOKIE_SIZES: ReadonlyMap<number, number> = new Map([[SO.NETNS_COOKIE, 8]]);

/** The cookie of the network namespace of the socket that was read last; undefined where the kernel has none (before 5.14). */
export function cookieOf(options: OptionReader): bigint | undefined {
  const bytes = options.bytes(SO.NETNS_COOKIE);
  return bytes === undefined ? undefined : new DataView(bytes.buffer).getBigUint64(0, true);
}

/** The same of a socket. */
export function namespaceCookie(fd: number): bigint | undefined {
  const cookie = new OptionReader(COOKIE_SIZES);
  cookie.read(fd);
  return cookieOf(cookie);
}
