/**
 * The calls that send a segment of TCP in the name of the other end of a connection, inside of this machine: by a raw
 * socket, whose user makes the headers. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { encodeBytes } from "../../base/byte_text.ts";
import { O } from "../../core/linux/fcntl.ts";
import { AF_INET, AF_INET6, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { MSG_DONTWAIT, SOCK_CLOEXEC, SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { SO } from "../../core/linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { planNumber } from "../../core/restore/socket_options.ts";
import { encodeAddress } from "./address.ts";
import { onWire, OWN_MARK } from "./network_lock.ts";
import { checksum, HEADER, ipHeader, pseudoHeader } from "./packet.ts";
import { SOCK } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";

const EPOLL_CTL_ADD = 1;
/** For how long a packet may be on its way inside of this machine, in milliseconds. */
const ARRIVAL = 3000;

/** Flags of the header: the end of data (FIN, ACK), a reset (RST, ACK), and urgent data (URG, ACK, PSH). */
export const FLAGS = { END: 0x11, RESET: 0x14, URGENT: 0x38 } as const;
/** What it is, for people. */
const NAMES: Readonly<Partial<Record<number, string>>> = {
  [FLAGS.END]: "the end of what comes",
  [FLAGS.RESET]: "a reset",
  [FLAGS.URGENT]: "urgent data",
};

/** The numbers of a connection as it is restored: without the ends of data that come later. */
export interface Numbers {
  /** The next byte that is expected. */
  readonly received: number;
  /** The first byte that is not acknowledged. */
  readonly acknowledged: number;
}

/**
 * Adds the calls that send a segment, as the other end would.
 *
 * @param flags of {@link FLAGS}; of urgent data it is the first byte, wherever the machine takes the pointer to point
 * (`net.ipv4.tcp_stdurg`; tcp_check_urg() of `net/ipv4/tcp_input.c`)
 */
export function planSegment(
  program: SyscallProgram,
  { own, peer, entry: { opts } }: Pick<SavedSocket, "own" | "peer" | "entry">,
  numbers: Numbers,
  flags: number,
  data = new Uint8Array(0),
): void {
  const source = onWire(peer.bytes), target = onWire(own.bytes);
  const family = source.byteLength === 4 ? AF_INET : AF_INET6;
  const length = HEADER.TCP + data.byteLength;
  const segment = new Uint8Array(length);
  segment.set(data, HEADER.TCP);
  const view = new DataView(segment.buffer);
  view.setUint16(0, peer.port);
  view.setUint16(2, own.port);
  view.setUint32(4, numbers.received);
  view.setUint32(8, numbers.acknowledged);
  // Five words of header.
  view.setUint8(12, 0x50);
  view.setUint8(13, flags);
  view.setUint16(14, 0xffff);
  view.setUint16(16, checksum(pseudoHeader(IPPROTO.TCP, source, target, length), segment));
  const header = ipHeader(family, IPPROTO.TCP, source, target, length);
  const packet = new Uint8Array(header.byteLength + length);
  packet.set(header);
  packet.set(segment, header.byteLength);
  const raw = program.call("socket", family, SOCK.RAW | SOCK_CLOEXEC, IPPROTO.RAW);
  planNumber(program, raw, SO.MARK, OWN_MARK);
  planDevice(program, raw, opts?.soBoundDev ?? "");
  const to = encodeAddress({ family, port: 0, bytes: target, scope: own.scope });
  const sent = program.data(packet, NAMES[flags] ?? "a segment");
  const there = program.data(to, "this machine");
  const size = packet.byteLength;
  program.expect(BigInt(size), "sendto", raw, sent, size, MSG_DONTWAIT, there, to.byteLength);
  program.call("close", raw);
}

/** Adds the call that binds a socket to a device: it gets what comes by that alone. @param name empty: none */
export function planDevice(program: SyscallProgram, fd: Argument, name: string): void {
  if (name === "") return;
  const bytes = encodeBytes(name);
  const data = program.data(bytes, name);
  program.call("setsockopt", fd, SOL_SOCKET, SO.BINDTODEVICE, data, bytes.byteLength);
}

/**
 * Adds the calls that wait until something has come to a connection: who has thrown it away does not tell, and the
 * program would wait for it for ever.
 *
 * @param events of POLL; an error and the end of both directions are waited for always
 * @param from the other end
 */
export function planArrival(
  program: SyscallProgram,
  fd: Argument,
  events: number,
  from: string,
  patience = ARRIVAL,
): void {
  const waiting = program.call("epoll_create1", O.CLOEXEC);
  // struct epoll_event, of 12 bytes.
  const event = new Uint8Array(12);
  new DataView(event.buffer).setUint32(0, events, true);
  program.call("epoll_ctl", waiting, EPOLL_CTL_ADD, fd, program.data(event, "what comes"));
  const explain = (): StasisError =>
    new StasisError(
      "conflict",
      `the end of what ${from} sends cannot be delivered: something on this machine throws away packets of its own`,
      { hint: "see the rules of its firewall: nft list ruleset" },
    );
  const room = program.output(event.byteLength, "events");
  program.expectExplained(1n, explain, "epoll_wait", waiting, room, 1, patience);
  program.call("close", waiting);
}
