/**
 * The protocols of internet sockets that are saved, by the names that the kernel gives them. Pure.
 *
 * @module
 */
import type { SocketKind } from "../../core/linux/net/make_socket.ts";
import { IPPROTO } from "../../core/linux/net/inet_diag.ts";

/** SOCK_* (`include/linux/net.h`). */
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3 } as const;

/** `struct proto`'s names: what the attribute `system.sockprotoname` of a socket says. */
const NAMES: ReadonlySet<string> = new Set([
  "TCP",
  "TCPv6",
  "UDP",
  "UDPv6",
  "UDP-Lite",
  "UDPLITEv6",
  "RAW",
  "RAWv6",
  "PING",
  "PINGv6",
]);

/** Whether sockets of this name are internet sockets. */
export function isInetName(name: string): boolean {
  return NAMES.has(name);
}

/** Whether they are raw ones, or of ICMP. */
export function isRawName(name: string): boolean {
  return /^(RAW|PING)(v6)?$/.test(name);
}

/** What a socket is: AF_INET or AF_INET6, one of SOCK, and IPPROTO_*. */
export type { SocketKind };

/** Whether it is a TCP socket (and no raw one of that protocol). */
export function isTcp({ type }: Pick<SocketKind, "type">): boolean {
  return type === SOCK.STREAM;
}

/** Whether sock_diag(7) can be asked for sockets of its kind without CONFIG_INET_RAW_DIAG. */
export function isListed({ type, protocol }: SocketKind): boolean {
  return isTcp({ type }) ||
    type === SOCK.DGRAM && (protocol === IPPROTO.UDP || protocol === IPPROTO.UDPLITE);
}

/** A socket as people call it: `TCP socket`. */
export function kindText({ type, protocol }: Pick<SocketKind, "type" | "protocol">): string {
  if (type === SOCK.STREAM) return "TCP socket";
  if (type === SOCK.RAW) return `raw socket of protocol ${protocol}`;
  if (protocol === IPPROTO.UDP) return "UDP socket";
  if (protocol === IPPROTO.UDPLITE) return "UDP-Lite socket";
  return "ICMP socket";
}
