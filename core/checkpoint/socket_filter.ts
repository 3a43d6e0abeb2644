/**
 * Socket filters of classic BPF (SO_ATTACH_FILTER): `struct sock_filter`, and the numbers that CRIU's image has.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { type OptionReader, SO } from "../linux/net/socket_options.ts";
import { SOL_SOCKET } from "../linux/net/socket_ffi.ts";

/** The size of a struct sock_filter: a code, two jumps, a constant (`include/uapi/linux/filter.h`). */
export const INSTRUCTION = 8;

/** Why the filter of a socket cannot be saved; undefined if it has none, or one that can. */
export function filterProblem(options: OptionReader): string | undefined {
  // Of one of eBPF not even the length comes (sk_get_filter() of net/core/filter.c).
  return options.errno(SO.ATTACH_FILTER) === Errno.EACCES
    ? "has a filter of eBPF attached (SO_ATTACH_BPF), which the kernel does not give"
    : undefined;
}

/**
 * Reads the filter of a socket, each instruction as a number.
 *
 * @param options of that socket: SO_ATTACH_FILTER without room for anything has the number of instructions
 * @throws {StasisError} `syscall`
 */
export function readFilter(fd: number, options: OptionReader): bigint[] {
  const count = options.length(SO.ATTACH_FILTER) ?? 0;
  if (count === 0) return [];
  const bytes = new Uint8Array(count * INSTRUCTION);
  // Here the length counts instructions.
  const length = new Uint8Array(Uint32Array.of(count).buffer);
  const result = syscall(
    SYSCALLS.getsockopt,
    fd,
    SOL_SOCKET,
    SO.ATTACH_FILTER,
    bytes,
    length,
  );
  if (!isErrno(result)) return encodeFilter(bytes);
  const errno = errnoName(-result);
  throw new StasisError("syscall", `the filter of a socket cannot be read: ${errno}`, { errno });
}

/** Instructions as CRIU's image has them: code, both jumps and the constant, from the highest bits down. */
export function encodeFilter(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / INSTRUCTION }, (_, index) => {
    const at = index * INSTRUCTION;
    const [code, jt, jf] = [view.getUint16(at, true), view.getUint8(at + 2), view.getUint8(at + 3)];
    return BigInt(code) << 48n | BigInt(jt) << 40n | BigInt(jf) << 32n |
      BigInt(view.getUint32(at + 4, true));
  });
}
