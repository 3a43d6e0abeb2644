/**
 * Making sockets: socket(2).
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { errnoName, isErrno } from "../errno.ts";
import { syscall } from "../libc_ffi.ts";
import { OwnedDescriptor } from "../pidfd.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";
import { SOCK_CLOEXEC } from "./socket_ffi.ts";

/** What a socket is. */
export interface SocketKind {
  /** AF_*. */
  readonly family: number;
  /** SOCK_*. */
  readonly type: number;
  /** Of that family. */
  readonly protocol: number;
}

/** Makes a socket of a kind, for this process. @throws {StasisError} `syscall` */
export function makeSocket({ family, type, protocol }: SocketKind): OwnedDescriptor {
  const made = syscall(SYSCALLS.socket, family, type | SOCK_CLOEXEC, protocol);
  if (!isErrno(made)) return new OwnedDescriptor(Number(made));
  const errno = errnoName(-made);
  throw new StasisError("syscall", `socket(${family}, ${type}, ${protocol}) failed: ${errno}`, {
    errno,
  });
}
