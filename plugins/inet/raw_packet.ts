/**
 * Packets of IP that wait in raw and ICMP sockets, with their headers, and which of them can be put there again: a packet
 * goes to the raw sockets of its protocol, and to the kernel as well, which must not do anything with it. Pure.
 *
 * @module
 */
import { AF_INET, AF_INET6, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import type { RawSocket } from "./listed_raw.ts";
import { isAny } from "./address.ts";
import { HEADER } from "./packet.ts";
import { SOCK, type SocketKind } from "./protocol.ts";

/** What a packet says of itself. */
export interface Packet {
  readonly family: number;
  readonly protocol: number;
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly payload: Uint8Array;
}

/**
 * The protocols that the kernel itself takes packets of, or may with a module: IGMP, IPIP, TCP, UDP, DCCP, IPv6 and parts
 * of it, GRE, ESP, AH, PIM, IPcomp, L2TP, SCTP, mobility, UDP-Lite, MPLS (`include/uapi/linux/in.h`, `in6.h`).
 */
const OF_KERNEL: ReadonlySet<number> = new Set([
  ...[0, 2, 4, 6, 17, 33, 41, 43, 44, 47, 50, 51, 59, 60],
  ...[94, 98, 103, 108, 115, 132, 135, 136, 137],
]);
/** ICMP_ECHOREPLY, ICMPV6_ECHO_REPLY: for ICMP sockets, and nothing else. */
const REPLY = new Map<number, number>([[IPPROTO.ICMP, 0], [IPPROTO.ICMPV6, 129]]);
/** Where the identifier of an echo lies. */
const IDENTIFIER_AT = 4;

/** Reads a packet without extension headers; undefined of what is none. */
export function parsePacket(packet: Uint8Array): Packet | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const version = (packet[0] ?? 0) >>> 4;
  if (version === 4 && packet.byteLength >= HEADER.IPV4) {
    const size = ((packet[0] ?? 0) & 0xf) * 4;
    if (size < HEADER.IPV4 || view.getUint16(2) !== packet.byteLength) return undefined;
    return {
      family: AF_INET,
      protocol: view.getUint8(9),
      source: packet.subarray(12, 16),
      target: packet.subarray(16, 20),
      payload: packet.subarray(size),
    };
  }
  if (version === 6 && packet.byteLength >= HEADER.IPV6) {
    if (view.getUint16(4) !== packet.byteLength - HEADER.IPV6) return undefined;
    return {
      family: AF_INET6,
      protocol: view.getUint8(6),
      source: packet.subarray(8, 24),
      target: packet.subarray(24, 40),
      payload: packet.subarray(HEADER.IPV6),
    };
  }
  return undefined;
}

/** Why a packet cannot be put into a socket of a kind again; undefined if it can. @param number its ICMP identifier */
export function packetProblem(
  { family, type, protocol }: SocketKind,
  number: number,
  bytes: Uint8Array,
): string | undefined {
  const packet = parsePacket(bytes);
  if (packet === undefined || packet.family !== family || packet.protocol !== protocol) {
    return "which are not as they were sent";
  }
  const reply = REPLY.get(protocol);
  if (reply !== undefined) {
    if (packet.payload[0] !== reply) return "which the kernel would take for its own, too";
    return type === SOCK.RAW || identifierOf(packet) === number
      ? undefined
      : "which are not for its identifier";
  }
  return OF_KERNEL.has(protocol) ? "which the kernel would take for its own, too" : undefined;
}

/** The identifier of an echo reply. */
function identifierOf({ payload }: Packet): number {
  return (payload[IDENTIFIER_AT] ?? 0) << 8 | (payload[IDENTIFIER_AT + 1] ?? 0);
}

/** Whether a socket of this machine would get a packet as well. */
export function getsToo(
  { family, isRaw, number, own, peer }: RawSocket,
  packet: Packet,
): boolean {
  if (family !== packet.family) return false;
  const isFor = (address: Uint8Array, one: Uint8Array): boolean =>
    isAny(address) || address.every((byte, index) => byte === one[index]);
  if (!isFor(own, packet.target) || !isFor(peer, packet.source)) return false;
  return isRaw
    ? number === packet.protocol
    : REPLY.has(packet.protocol) && number === identifierOf(packet);
}
