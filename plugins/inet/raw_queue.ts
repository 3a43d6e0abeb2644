/**
 * What waits in raw and ICMP sockets, and in others behind an error. They take no SO_PEEK_OFF, so that a look shows the first packet alone, and without
 * its header where it is one of IPv6: all are read out of the kernel's memory.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AF_INET, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { type Address, encodeAddress, needsScope } from "./address.ts";
import { READABLE } from "./corked.ts";
import { datagramsOf, type QueuedDatagram } from "./datagram_queue.ts";
import { join, type KernelBuffer } from "../../core/linux/net/kernel_buffers.ts";
import type { KernelSockets } from "./kernel_sockets.ts";
import { HEADER } from "./packet.ts";
import { SOCK, type SocketKind } from "./protocol.ts";
import { packetProblem, parsePacket } from "./raw_packet.ts";

/** What is found: the packets, or why they cannot be saved. */
export interface FoundPackets {
  readonly queue?: readonly QueuedDatagram[];
  readonly problem?: string;
}

/**
 * Reads the packets, oldest first, each with its header.
 *
 * @param fd a duplicate of its descriptor; nobody may receive from it meanwhile
 * @param kernel opens what reads the kernel's memory
 */
export function readRawQueue(
  fd: number,
  kind: SocketKind,
  own: Address | undefined,
  kernel: () => KernelSockets | undefined,
): FoundPackets {
  const refused = (why: string): FoundPackets => ({ problem: `has messages waiting, ${why}` });
  let buffers: readonly KernelBuffer[] | undefined;
  try {
    buffers = kernel()?.received(fd);
  } catch (error) {
    if (!(error instanceof StasisError && error.code === "unsupported")) throw error;
  }
  if (buffers === undefined) return refused(`which cannot be read here (${READABLE})`);
  // What comes inside of this machine would not be for it.
  if (kind.type !== SOCK.RAW && needsScope(own?.bytes ?? new Uint8Array(0))) {
    return refused("of an address of one interface");
  }
  const queue: QueuedDatagram[] = [];
  for (const buffer of buffers) {
    const data = packetOf(buffer, kind);
    const why = packetProblem(kind, own?.port ?? 0, data);
    if (why !== undefined) return refused(why);
    const bytes = parsePacket(data)?.source ?? new Uint8Array(0);
    queue.push({ data, from: encodeAddress({ family: kind.family, port: 0, bytes, scope: 0 }) });
  }
  return { queue };
}

/**
 * Reads what waits in a socket of datagrams or a raw one behind an error.
 *
 * @returns undefined where it cannot be read, or put there again
 */
export function readBehindError(
  fd: number,
  kind: SocketKind,
  own: Address | undefined,
  kernel: () => KernelSockets | undefined,
): readonly QueuedDatagram[] | undefined {
  const isUdp = kind.type === SOCK.DGRAM &&
    (kind.protocol === IPPROTO.UDP || kind.protocol === IPPROTO.UDPLITE);
  if (!isUdp) return readRawQueue(fd, kind, own, kernel).queue;
  try {
    const found = kernel()?.datagrams(fd).map((one) => datagramsOf(one, kind.family));
    return found?.every((one) => one !== undefined) === true ? found.flat() : undefined;
  } catch (error) {
    if (!(error instanceof StasisError && error.code === "unsupported")) throw error;
    return undefined;
  }
}

/** The packet: of IPv6 without extension headers, which the socket does not show. */
function packetOf(
  { bytes, network, header }: KernelBuffer,
  { family, protocol }: SocketKind,
): Uint8Array<ArrayBuffer> {
  if (network === 0) return bytes;
  if (family === AF_INET) return join([header, bytes]);
  const packet = join([header.subarray(0, HEADER.IPV6), bytes]);
  const view = new DataView(packet.buffer);
  if (packet.byteLength < HEADER.IPV6) return packet;
  view.setUint16(4, bytes.byteLength);
  view.setUint8(6, protocol);
  return packet;
}
