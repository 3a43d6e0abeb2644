/**
 * Ports that nobody has, for sockets that are to have one for a moment which they lose when they are disconnected: a
 * kernel that knows IP_LOCAL_PORT_RANGE (Linux 6.3) chooses the one that it is told, and forgets it.
 *
 * @module
 */
import { AF_INET } from "../../core/linux/net/inet_diag.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { makeSocket, type SocketKind } from "../../core/linux/net/make_socket.ts";
import { must } from "../../core/linux/must.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { decodeAddress, encodeAddress } from "./address.ts";
import { IP, SOL } from "./option_lists.ts";

/** Whether a socket can be told which port to choose. */
export function canChoosePort(kind: SocketKind): boolean {
  using socket = makeSocket(kind);
  const none = new Uint8Array(4);
  const set = syscall(SYSCALLS.setsockopt, socket.fd, SOL.IP, IP.LOCAL_PORT_RANGE, none, 4);
  return !isErrno(set);
}

/** The value of IP_LOCAL_PORT_RANGE by which one port is chosen. */
export function rangeOf(port: number): number {
  return port | port << 16;
}

/** A port that nobody has. @param taken those that it is not to be, to which it is added */
export function freePort(kind: SocketKind, taken: Set<number>): number {
  for (;;) {
    using socket = makeSocket(kind);
    const any = new Uint8Array(kind.family === AF_INET ? 4 : 16);
    const name = encodeAddress({ family: kind.family, port: 0, bytes: any, scope: 0 });
    must(syscall(SYSCALLS.bind, socket.fd, name, name.byteLength), "bind()");
    const length = new Uint8Array(Uint32Array.of(name.byteLength).buffer);
    must(syscall(SYSCALLS.getsockname, socket.fd, name, length), "getsockname()");
    const port = decodeAddress(name)?.port ?? 0;
    if (taken.has(port)) continue;
    taken.add(port);
    return port;
  }
}
