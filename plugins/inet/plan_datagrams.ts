/**
 * The calls that fill a new UDP socket with what waited in it. Pure.
 *
 * A datagram says who sent it, and only that one can send it in its name. So it is sent as a packet by a raw socket,
 * whose user makes the headers, from the address that it came from, and never leaves the machine. The socket has a port
 * of its own meanwhile, which nobody knows, so that nothing else gets in and none of it gets to another socket of the same
 * port (SO_REUSEPORT); a port that the kernel has chosen it loses when it is disconnected (`__udp_disconnect()` of
 * `net/ipv4/udp.c`), and keeps what waits. The interface and the address that it was sent to are those of the loopback
 * device then (IP_PKTINFO).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AF_INET, AF_INET6, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import {
  iovec,
  MSG_DONTWAIT,
  MSG_PEEK,
  msghdr,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../../core/linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, SO, timeval } from "../../core/linux/net/socket_options.ts";
import type { Argument, ScratchData, SyscallProgram } from "../../core/remote/program.ts";
import { type BufferLimits, planNumber } from "../../core/restore/socket_options.ts";
import type { inet_datagram_entry } from "../../images/gen/inet_pb.ts";
import { decodeAddress, encodeAddress, isMapped } from "./address.ts";
import { rangeOf } from "./free_port.ts";
import { IP, SOL, UDP } from "./option_lists.ts";
import { checksum, HEADER, ipHeader, pseudoHeader } from "./packet.ts";
import { SOCK } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";

/** For recvfrom(2): tell the whole length. */
const MSG_TRUNC = 0x20;
/** For how long a datagram may be on its way, in seconds: it takes microseconds. */
const PATIENCE = 5n;
const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = new Uint8Array(16).with(15, 1);
/** Where the port lies in a struct sockaddr_in and sockaddr_in6. */
const PORT_AT = 2, PORT_SIZE = 2;

/** Adds the calls that fill a socket which is neither bound nor connected. */
export function planDatagrams(
  program: SyscallProgram,
  fd: Argument,
  { kind: { family, protocol }, queue }: SavedSocket,
  { force }: BufferLimits,
  port = 0,
): void {
  if (queue.length === 0) return;
  const any = encodeAddress({
    family,
    port: 0,
    bytes: new Uint8Array(family === AF_INET ? 4 : 16),
    scope: 0,
  });
  planNumber(program, fd, force ? SO.RCVBUFFORCE : SO.RCVBUF, LARGEST_BUFFER);
  // The checksum needs a port that is not known yet.
  const isUnchecked = family === AF_INET6 && protocol === IPPROTO.UDP;
  if (isUnchecked) planFlag(program, fd, SOL.UDP, UDP.NO_CHECK6_RX, 1);
  setTimeout(program, fd, PATIENCE);
  // The kernel is to choose it: otherwise it would stay.
  if (port !== 0) planFlag(program, fd, SOL.IP, IP.LOCAL_PORT_RANGE, rangeOf(port));
  program.call("bind", fd, program.data(any, "any port"), any.byteLength);
  const name = program.output(any.byteLength, "its name");
  const length = program.output(new Uint8Array(Uint32Array.of(any.byteLength).buffer), "size");
  program.call("getsockname", fd, name, length);
  /** The raw sockets, by their family. */
  const senders = new Map<number, Argument>();
  let seen = 0;
  for (const message of queue) {
    planPacket(program, message, name, senders, port);
    planNumber(program, fd, SO.PEEK_OFF, seen);
    const byte = program.output(1, "byte");
    // One that a rule of this machine has thrown away does not come.
    const size = BigInt(message.data.byteLength);
    program.expect(size, "recvfrom", fd, byte, 1, MSG_PEEK | MSG_TRUNC, 0, 0);
    seen += message.data.byteLength;
  }
  for (const sender of senders.values()) program.call("close", sender);
  planNumber(program, fd, SO.PEEK_OFF, -1);
  const nobody = program.data(new Uint8Array(16), "AF_UNSPEC");
  program.call("connect", fd, nobody, 16);
  setTimeout(program, fd, 0n);
  if (isUnchecked) planFlag(program, fd, SOL.UDP, UDP.NO_CHECK6_RX, 0);
  if (port !== 0) planFlag(program, fd, SOL.IP, IP.LOCAL_PORT_RANGE, 0);
}

/**
 * @param name where the address of the socket stands that is to get it
 * @param port its port, of UDP-Lite, whose checksum it is a part of
 */
function planPacket(
  program: SyscallProgram,
  { data, from }: inet_datagram_entry,
  name: ScratchData,
  senders: Map<number, Argument>,
  port: number,
): void {
  const sender = decodeAddress(from);
  if (sender === undefined) throw new StasisError("bad-image", "a datagram has no sender");
  const isFour = sender.family === AF_INET || isMapped(sender.bytes);
  const family = isFour ? AF_INET : AF_INET6;
  const source = sender.family === AF_INET6 && isFour ? sender.bytes.subarray(12) : sender.bytes;
  const target = isFour ? LOOPBACK4 : LOOPBACK6;
  let raw = senders.get(family);
  if (raw === undefined) {
    raw = program.call("socket", family, SOCK.RAW | SOCK_CLOEXEC, IPPROTO.RAW);
    planNumber(program, raw, SO.SNDBUF, LARGEST_BUFFER);
    senders.set(family, raw);
  }
  const length = HEADER.UDP + data.byteLength;
  const protocol = port === 0 ? IPPROTO.UDP : IPPROTO.UDPLITE;
  const header = ipHeader(family, protocol, source, target, length);
  const before = new Uint8Array(header.byteLength + PORT_SIZE);
  before.set(header);
  new DataView(before.buffer).setUint16(header.byteLength, sender.port);
  // The length, and no checksum; of UDP-Lite that the checksum covers all, and the checksum.
  const behind = new Uint8Array(4);
  if (port === 0) new DataView(behind.buffer).setUint16(0, length);
  else {
    const ports = new Uint8Array(Uint16Array.of(0, 0).buffer);
    new DataView(ports.buffer).setUint16(0, sender.port);
    new DataView(ports.buffer).setUint16(2, port);
    const sum = checksum(pseudoHeader(protocol, source, target, length), ports, data);
    // 0 would mean that there is none.
    new DataView(behind.buffer).setUint16(2, sum === 0 ? 0xffff : sum);
  }
  const pieces: (readonly [ScratchData, number, number])[] = [
    [program.data(before, "headers"), 0, before.byteLength],
    [name, PORT_AT, PORT_SIZE],
    [program.data(behind, "length"), 0, behind.byteLength],
    [program.data(data, `${data.byteLength} bytes`), 0, data.byteLength],
  ];
  const vectors = new Uint8Array(pieces.length * iovec.size);
  pieces.forEach(([, , size], index) =>
    iovec.write(vectors, { len: BigInt(size) }, index * iovec.size)
  );
  const io = program.data(vectors, "iovec");
  pieces.forEach(([piece, at], index) => io.point(index * iovec.size, piece, at));
  const to = encodeAddress({ family, port: 0, bytes: target, scope: 0 });
  const head = msghdr.make({ nameLen: to.byteLength, iovLen: BigInt(pieces.length) });
  const message = program.data(head, `${data.byteLength} bytes`)
    .point(0, program.data(to, "this machine")).point(16, io);
  program.expect(BigInt(header.byteLength + length), "sendmsg", raw, message, MSG_DONTWAIT);
}

/** Adds the call that sets an option of any level to a number. */
export function planFlag(
  program: SyscallProgram,
  fd: Argument,
  level: number,
  name: number,
  value: number,
): void {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  program.call("setsockopt", fd, level, name, program.data(bytes, `${value}`), 4);
}

function setTimeout(program: SyscallProgram, fd: Argument, sec: bigint): void {
  const value = program.data(timeval.make({ sec }), `${sec} s`);
  program.call("setsockopt", fd, SOL_SOCKET, SO.RCVTIMEO, value, timeval.size);
}
