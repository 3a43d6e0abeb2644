/**
 * Packets of IPv4 and IPv6 with one of UDP or TCP in them, as a raw socket sends them whose headers its user makes. Pure.
 *
 * @module
 */
import { AF_INET } from "../../core/linux/net/inet_diag.ts";

/** The sizes of the headers without options. */
export const HEADER = { IPV4: 20, IPV6: 40, UDP: 8, TCP: 20 } as const;

const HOPS = 64;

/** Makes the header of an IP packet; its checksum, and of IPv4 its length, the kernel sets. */
export function ipHeader(
  family: number,
  protocol: number,
  source: Uint8Array,
  target: Uint8Array,
  length: number,
): Uint8Array<ArrayBuffer> {
  if (family === AF_INET) {
    const header = new Uint8Array(HEADER.IPV4);
    const view = new DataView(header.buffer);
    // Version 4, five words.
    view.setUint8(0, 0x45);
    view.setUint16(2, HEADER.IPV4 + length);
    view.setUint8(8, HOPS);
    view.setUint8(9, protocol);
    header.set(source, 12);
    header.set(target, 16);
    return header;
  }
  const header = new Uint8Array(HEADER.IPV6);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, length);
  view.setUint8(6, protocol);
  view.setUint8(7, HOPS);
  header.set(source, 8);
  header.set(target, 24);
  return header;
}

/** The checksum of the Internet (RFC 1071) over some pieces, each of an even length but the last. */
export function checksum(...pieces: readonly Uint8Array[]): number {
  let sum = 0;
  for (const piece of pieces) {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    for (let at = 0; at + 1 < piece.byteLength; at += 2) sum += view.getUint16(at);
    if (piece.byteLength % 2 === 1) sum += (piece[piece.byteLength - 1] as number) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The pseudo-header that the checksums of TCP and UDP begin with (RFC 793, RFC 8200). */
export function pseudoHeader(
  protocol: number,
  source: Uint8Array,
  target: Uint8Array,
  length: number,
): Uint8Array {
  const size = source.byteLength;
  if (size === 4) {
    const header = new Uint8Array(12);
    header.set(source, 0);
    header.set(target, 4);
    const view = new DataView(header.buffer);
    view.setUint16(8, protocol);
    view.setUint16(10, length);
    return header;
  }
  const header = new Uint8Array(40);
  header.set(source, 0);
  header.set(target, size);
  const view = new DataView(header.buffer);
  view.setUint32(32, length);
  view.setUint32(36, protocol);
  return header;
}
