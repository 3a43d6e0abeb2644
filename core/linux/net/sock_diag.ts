/**
 * Asking the kernel for the sockets of this network namespace: a netlink socket of NETLINK_SOCK_DIAG,
 * sock_diag(7).
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { Errno, errnoName } from "../errno.ts";
import { syscall } from "../libc_ffi.ts";
import { must } from "../must.ts";
import {
  AF_INET,
  AF_INET6,
  type AskedSockets,
  inetDiagRequest,
  type InetSocket,
  parseInetSocket,
} from "./inet_diag.ts";
import { netlinkSocket, NLMSG, parseNetlink } from "./netlink.ts";
import { packetDiagRequest, type PacketSocket, parsePacketSocket } from "./packet_diag.ts";
import { OwnedDescriptor } from "../pidfd.ts";
import { parseUnixSocket, unixDiagRequest, type UnixSocket } from "./unix_diag.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";

const NETLINK_SOCK_DIAG = 4;
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
  return readUntilFound(wanted, () => {
    const found = new Map<number, UnixSocket>();
    readList(
      unixDiagRequest(),
      "unix sockets (CONFIG_UNIX_DIAG, modprobe unix_diag)",
      (payload) => {
        const one = parseUnixSocket(payload);
        if (one.ino !== 0) found.set(one.ino, one);
      },
    );
    return found;
  });
}

/**
 * Reads the packet sockets of this network namespace, by their inodes.
 *
 * @param wanted as of {@link readUnixSockets}
 * @throws {StasisError} `kernel-too-old` where the kernel cannot tell (CONFIG_PACKET_DIAG), `syscall`
 */
export function readPacketSockets(wanted: Iterable<number> = []): Map<number, PacketSocket> {
  return readUntilFound(wanted, () => {
    const found = new Map<number, PacketSocket>();
    readList(
      packetDiagRequest(),
      "packet sockets (CONFIG_PACKET_DIAG, modprobe af_packet_diag)",
      (payload) => {
        const one = parsePacketSocket(payload);
        found.set(one.ino, one);
      },
    );
    return found;
  });
}

/** Internet sockets of this network namespace. */
export interface InetSockets {
  /** By inode. */
  readonly byInode: ReadonlyMap<number, InetSocket>;
  /** Connections that nobody has a descriptor of: they wait to be accepted, or are being closed by the kernel. */
  readonly nobodys: readonly InetSocket[];
}

/**
 * Reads the sockets of a protocol, of IPv4 and IPv6. Those that are neither bound nor connected are not among them.
 *
 * @param wanted as of {@link readUnixSockets}
 * @param asked which of them
 * @throws {StasisError} `kernel-too-old` where the kernel cannot tell (CONFIG_INET_DIAG), `syscall`
 */
export function readInetSockets(
  protocol: number,
  wanted: Iterable<number> = [],
  asked: AskedSockets = {},
): InetSockets {
  let nobodys: InetSocket[] = [];
  const byInode = readUntilFound(wanted, () => {
    const found = new Map<number, InetSocket>();
    nobodys = [];
    for (const family of [AF_INET, AF_INET6]) {
      readList(
        inetDiagRequest(family, protocol, asked),
        "internet sockets (CONFIG_INET_DIAG)",
        (payload) => {
          const one = parseInetSocket(payload);
          if (one.ino !== 0) found.set(one.ino, one);
          else nobodys.push(one);
        },
      );
    }
    return found;
  });
  return { byInode, nobodys };
}

function readUntilFound<One>(
  wanted: Iterable<number>,
  read: () => Map<number, One>,
): Map<number, One> {
  const found = read();
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    if ([...wanted].every((ino) => found.has(ino))) break;
    for (const [ino, socket] of read()) found.set(ino, socket);
  }
  return found;
}

/** @param what the kernel is asked for, and what it needs to tell it */
function readList(request: Uint8Array, what: string, take: (payload: Uint8Array) => void): void {
  using socket = new OwnedDescriptor(
    must(
      syscall(SYSCALLS.socket, ...netlinkSocket(NETLINK_SOCK_DIAG)),
      "socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)",
    ),
  );
  must(syscall(SYSCALLS.sendto, socket.fd, request, request.byteLength, 0, 0, 0), "sendto");
  const buffer = new Uint8Array(BUFFER_SIZE);
  for (;;) {
    const received = syscall(SYSCALLS.recvfrom, socket.fd, buffer, buffer.byteLength, 0, 0, 0);
    // A signal to this process is no answer.
    if (received === -BigInt(Errno.EINTR)) continue;
    const length = must(received, "recvfrom");
    for (const { type, payload } of parseNetlink(buffer.subarray(0, length))) {
      if (type === NLMSG.DONE) return;
      if (type === NLMSG.ERROR) throw refusal(payload, what);
      take(payload);
    }
  }
}

/** The error of an NLMSG_ERROR: a negative errno and the request. */
function refusal(payload: Uint8Array, what: string): StasisError {
  const errno = errnoName(-new DataView(payload.buffer, payload.byteOffset).getInt32(0, true));
  return new StasisError("kernel-too-old", `this kernel does not list ${what}: ${errno}`, {
    errno,
  });
}
