/**
 * Sending descriptors over a Unix socket: sendmsg(2) with SCM_RIGHTS, unix(7). The structures are described
 * here for both ends: the other one is a target, where the kernel's layout is the same.
 *
 * @module
 */
import { addressOf, syscall } from "./libc_ffi.ts";
import { defineStruct } from "./struct.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** struct user_msghdr (include/linux/socket.h). */
export const msghdr = defineStruct("msghdr", 56, {
  name: [0, "u64"],
  nameLen: [8, "u32"],
  iov: [16, "u64"],
  iovLen: [24, "u64"],
  control: [32, "u64"],
  controlLen: [40, "u64"],
  flags: [48, "u32"],
});

/** struct cmsghdr with one descriptor behind it; as much room as CMSG_SPACE(sizeof(int)) gives. */
export const cmsgDescriptor = defineStruct("cmsghdr", 24, {
  /** 20: CMSG_LEN(sizeof(int)). */
  len: [0, "u64"],
  level: [8, "i32"],
  type: [12, "i32"],
  fd: [16, "i32"],
});

/** struct iovec. */
export const iovec = defineStruct("iovec", 16, { base: [0, "u64"], len: [8, "u64"] });

export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
/** For recvmsg(2): the descriptors that come are closed by exec. */
export const MSG_CMSG_CLOEXEC = 0x40000000;
/** For sendmsg(2) and recvmsg(2): fail with EAGAIN instead of waiting. */
export const MSG_DONTWAIT = 0x40;
/** For sendmsg(2): no SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;

/**
 * Sends one byte and a descriptor.
 *
 * @param socket a Unix socket of this process
 * @returns the number of bytes sent (1), or the negative errno
 */
export function sendFd(socket: number, fd: number): bigint {
  // All in one buffer: the kernel reads its parts through addresses, and only the whole is kept alive.
  const bytes = new Uint8Array(msghdr.size + iovec.size + cmsgDescriptor.size + 1);
  const base = addressOf(bytes);
  const iovAt = msghdr.size, controlAt = iovAt + iovec.size;
  const byteAt = controlAt + cmsgDescriptor.size;
  msghdr.write(bytes, {
    iov: base + BigInt(iovAt),
    iovLen: 1n,
    control: base + BigInt(controlAt),
    controlLen: BigInt(cmsgDescriptor.size),
  });
  iovec.write(bytes, { base: base + BigInt(byteAt), len: 1n }, iovAt);
  cmsgDescriptor.write(bytes, { len: 20n, level: SOL_SOCKET, type: SCM_RIGHTS, fd }, controlAt);
  return syscall(SYSCALLS.sendmsg, socket, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}
