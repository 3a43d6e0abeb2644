/**
 * What waits in a socket of datagrams, read without taking it out: each message is looked at with SO_PEEK_OFF at its
 * beginning, which is put back afterwards. An empty message that was looked at before is not shown again
 * (`__skb_try_recv_from_queue()` of `net/core/datagram.c`), and so left out.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type NoteCall, PeekOffset } from "../../core/checkpoint/noted_socket.ts";
import { Errno, errnoName, isErrno } from "../../core/linux/errno.ts";
import { AF_INET6 } from "../../core/linux/net/inet_diag.ts";
import { parseControl } from "../../core/linux/net/control_message.ts";
import { peekMessage, USUAL_MESSAGE } from "../../core/linux/net/socket_ffi.ts";
import { encodeAddress, needsScope } from "./address.ts";
import type { KernelBuffer } from "../../core/linux/net/kernel_buffers.ts";
import { SOL, UDP } from "./option_lists.ts";
import { HEADER } from "./packet.ts";

/** A message that waits. */
export interface QueuedDatagram {
  readonly data: Uint8Array<ArrayBuffer>;
  /** Who sent it, a struct sockaddr. */
  readonly from: Uint8Array<ArrayBuffer>;
}

/**
 * Reads what waits, oldest first.
 *
 * @param fd a duplicate of its descriptor. No error may wait in the socket: who looks takes it
 * @param note notes how SO_PEEK_OFF is put back
 * @throws {StasisError} `syscall`
 */
export function peekDatagrams(fd: number, note: NoteCall): QueuedDatagram[] {
  using offset = new PeekOffset(fd, note);
  const messages: QueuedDatagram[] = [];
  for (let seen = 0;;) {
    offset.set(seen);
    const { result, bytes, name, control } = peekMessage(fd, USUAL_MESSAGE);
    if (result === -BigInt(Errno.EAGAIN)) return messages;
    if (isErrno(result)) {
      const errno = errnoName(-result);
      throw new StasisError("syscall", `looking at the queue of a socket failed: ${errno}`, {
        errno,
      });
    }
    const from = name.slice();
    for (const data of datagramsIn(bytes, control)) messages.push({ data, from });
    seen += bytes.byteLength;
  }
}

/**
 * The datagrams of a message of the kernel's memory, behind the headers of IP and UDP: where an error waits in front of
 * them, which a look would take away.
 *
 * @param family of the socket: one of IPv6 names senders of IPv4 in its own way
 * @returns undefined where the sender is not told
 */
export function datagramsOf(
  { bytes, header, segment }: Pick<KernelBuffer, "bytes" | "header" | "segment">,
  family: number,
): QueuedDatagram[] | undefined {
  const version = (header[0] ?? 0) >>> 4;
  const size = version === 4 ? HEADER.IPV4 : HEADER.IPV6;
  if (header.byteLength < size + HEADER.UDP) return undefined;
  const source = version === 4 ? header.subarray(12, 16) : header.subarray(8, 24);
  // The interface it came by is not there any more.
  if (needsScope(source)) return undefined;
  const port = new DataView(header.buffer, header.byteOffset)
    .getUint16(header.byteLength - HEADER.UDP);
  const address = family === AF_INET6 && version === 4 ? mapped(source) : source;
  const from = encodeAddress({ family, port, bytes: address, scope: 0 });
  const datagrams = segment === 0 ? [bytes] : cut(bytes, segment);
  return datagrams.map((data) => ({ data, from }));
}

/** An address of IPv4 as one of IPv6. */
function mapped(four: Uint8Array): Uint8Array {
  const six = new Uint8Array(16).fill(0xff, 10, 12);
  six.set(four, 12);
  return six;
}

function cut(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer>[] {
  const count = Math.ceil(bytes.byteLength / size);
  return Array.from({ length: count }, (_, at) => bytes.slice(at * size, (at + 1) * size));
}

/**
 * The datagrams of a message: the kernel joins those of one sender where the program asks for that (UDP_GRO), and says
 * how long each but the last is (udp_cmsg_recv() of `net/ipv4/udp.c`).
 */
function datagramsIn(bytes: Uint8Array, control: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const joined = parseControl(control).find(({ level, type }) =>
    level === SOL.UDP && type === UDP.GRO
  );
  if (joined === undefined) return [bytes.slice()];
  return cut(bytes, new DataView(joined.data.buffer).getInt32(0, true));
}
