/**
 * Addresses of internet sockets: struct sockaddr_in and sockaddr_in6, and as the images have them. Pure.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "../../core/linux/net/inet_diag.ts";
import { StasisError } from "../../base/errors.ts";

/** An address. */
export interface Address {
  readonly family: number;
  readonly port: number;
  /** 4 bytes, or 16. */
  readonly bytes: Uint8Array;
  /** The interface of a link-local one; otherwise 0. */
  readonly scope: number;
}

/** The sizes of struct sockaddr_in and sockaddr_in6, and where the address lies in each. */
const SHAPES = {
  [AF_INET]: { size: 16, at: 4, length: 4 },
  [AF_INET6]: { size: 28, at: 8, length: 16 },
} as const;
const SCOPE_AT = 24;

/** Reads a struct sockaddr; undefined where it is of another family, or none. */
export function decodeAddress(sockaddr: Uint8Array): Address | undefined {
  if (sockaddr.byteLength < 2) return undefined;
  const view = new DataView(sockaddr.buffer, sockaddr.byteOffset, sockaddr.byteLength);
  const family = view.getUint16(0, true);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const { size, at, length } = SHAPES[family];
  if (sockaddr.byteLength < size) return undefined;
  return {
    family,
    port: view.getUint16(2),
    bytes: sockaddr.slice(at, at + length),
    scope: family === AF_INET6 ? view.getUint32(SCOPE_AT, true) : 0,
  };
}

/** Makes a struct sockaddr. */
export function encodeAddress({ family, port, bytes, scope }: Address): Uint8Array<ArrayBuffer> {
  const { size, at } = family === AF_INET ? SHAPES[AF_INET] : SHAPES[AF_INET6];
  const sockaddr = new Uint8Array(size);
  const view = new DataView(sockaddr.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  sockaddr.set(bytes, at);
  if (family === AF_INET6) view.setUint32(SCOPE_AT, scope, true);
  return sockaddr;
}

/** The bytes of an address as the images have them: words in the order in which they lie in memory. */
export function toWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from(
    { length: bytes.byteLength / 4 },
    (_, index) => view.getUint32(4 * index, true),
  );
}

/**
 * The bytes of an address of the images.
 *
 * @throws {StasisError} `bad-image` where there are too few
 */
export function fromWords(family: number, words: readonly number[]): Uint8Array<ArrayBuffer> {
  const length = family === AF_INET ? 4 : 16;
  if (words.length * 4 < length) {
    throw new StasisError("bad-image", `an address of family ${family} has ${words.length} words`);
  }
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < length; at += 4) view.setUint32(at, words[at / 4] as number, true);
  return bytes;
}

/** Whether it stands for any address. */
export function isAny(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Whether an IPv6 address stands for an IPv4 one (`::ffff:a.b.c.d`). */
export function isMapped(bytes: Uint8Array): boolean {
  return bytes.byteLength === 16 && bytes.subarray(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Whether an address means nothing without its interface (`__ipv6_addr_needs_scope_id()` of `net/ipv6.h`). */
export function needsScope(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  if (bytes.byteLength !== 16) return false;
  return first === 0xfe && (second & 0xc0) === 0x80 ||
    first === 0xff && ((second & 0xf) === 1 || (second & 0xf) === 2);
}

/** An end as people write it: `127.0.0.1:80`, `[::1]:80`. */
export function endText(bytes: Uint8Array, port: number): string {
  return bytes.byteLength === 4
    ? `${addressText(bytes)}:${port}`
    : `[${addressText(bytes)}]:${port}`;
}

/** An address as people write it. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.byteLength === 4) return bytes.join(".");
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index).toString(16));
  // The longest run of zeros is left out.
  let text = groups.join(":");
  const runs = [...text.matchAll(/(?:^|:)(?:0(?::|$)){2,}/g)].map(([run]) => run);
  const longest = runs.sort((one, other) => other.length - one.length)[0];
  if (longest !== undefined) text = text.replace(longest, "::");
  return text;
}
