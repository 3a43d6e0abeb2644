/**
 * Asking the kernel for the unix sockets of this network namespace: a netlink socket of NETLINK_SOCK_DIAG,
 * sock_diag(7).
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../errno.ts";
import { syscall } from "../libc_ffi.ts";
import { NLMSG, parseNetlink } from "./netlink.ts";
import { OwnedDescriptor } from "../pidfd.ts";
import { parseUnixSocket, unixDiagRequest, type UnixSocket } from "./unix_diag.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";

const AF_NETLINK = 16, SOCK_RAW = 3, SOCK_CLOEXEC = 0o2000000, NETLINK_SOCK_DIAG = 4;
/** The kernel fills at most so much at once (netlink_dump() of `net/netlink/af_netlink.c`: 32 KiB). */
const BUFFER_SIZE = 1 << 16;
/** How often a list is asked for in which something is missing. */
const ATTEMPTS = 3;

/**
 * Reads the unix sockets of this network namespace, by their inodes. Those that nobody has a descriptor of
 * (waiting to be accepted) have inode 0 and are left out.
 *
 * @param wanted inodes that should be among them: the kernel gives a long list in pieces and may skip some where
 * others end in between, so it is asked again for those
 * @throws {StasisError} `kernel-too-old` where the kernel cannot tell (CONFIG_UNIX_DIAG), `syscall`
 */
export function readUnixSockets(wanted: Iterable<number> = []): Map<number, UnixSocket> {
  const found = readList();
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    if ([...wanted].every((ino) => found.has(ino))) break;
    for (const [ino, socket] of readList()) found.set(ino, socket);
  }
  return found;
}

function readList(): Map<number, UnixSocket> {
  using socket = new OwnedDescriptor(
    must(
      syscall(SYSCALLS.socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG),
      "socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)",
    ),
  );
  const request = unixDiagRequest();
  must(syscall(SYSCALLS.sendto, socket.fd, request, request.byteLength, 0, 0, 0), "sendto");
  const found = new Map<number, UnixSocket>();
  const buffer = new Uint8Array(BUFFER_SIZE);
  for (;;) {
    const received = syscall(SYSCALLS.recvfrom, socket.fd, buffer, buffer.byteLength, 0, 0, 0);
    // A signal to this process is no answer.
    if (received === -BigInt(Errno.EINTR)) continue;
    const length = must(received, "recvfrom");
    for (const { type, payload } of parseNetlink(buffer.subarray(0, length))) {
      if (type === NLMSG.DONE) return found;
      if (type === NLMSG.ERROR) throw refusal(payload);
      const one = parseUnixSocket(payload);
      if (one.ino !== 0) found.set(one.ino, one);
    }
  }
}

/** The error of an NLMSG_ERROR: a negative errno and the request. */
function refusal(payload: Uint8Array): StasisError {
  const errno = errnoName(-new DataView(payload.buffer, payload.byteOffset).getInt32(0, true));
  return new StasisError("kernel-too-old", `this kernel does not list unix sockets: ${errno}`, {
    errno,
    hint: "it needs CONFIG_UNIX_DIAG (modprobe unix_diag)",
  });
}

function must(result: bigint, what: string): number {
  if (!isErrno(result)) return Number(result);
  const errno = errnoName(-result);
  throw new StasisError("syscall", `${what} failed: ${errno}`, { errno });
}
