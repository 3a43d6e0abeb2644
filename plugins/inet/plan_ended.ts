/**
 * The calls that make a TCP connection end as one of the images did: with the same error, and with what was not read. It
 * is connected in repair mode to nobody, at an address of its own, as nothing tells any more whom it was connected to;
 * what ended it then happens once more, inside of this machine. Pure.
 *
 * @module
 */
import { Errno } from "../../core/linux/errno.ts";
import { O } from "../../core/linux/fcntl.ts";
import { AF_INET } from "../../core/linux/net/inet_diag.ts";
import {
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../../core/linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, POLL, SO } from "../../core/linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { type BufferLimits, planNumber } from "../../core/restore/socket_options.ts";
import type { inet_ended_entry } from "../../images/gen/inet_pb.ts";
import { type Address, encodeAddress, endText, isAny } from "./address.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { planBind } from "./plan.ts";
import { planFlag } from "./plan_datagrams.ts";
import { FLAGS, planArrival, planDevice, planSegment } from "./plan_segment.ts";
import { planBytesInto } from "./plan_stream.ts";
import { SOCK } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";
import { QUEUE, REPAIR, repairWindow } from "./tcp_stream.ts";

/** The first numbers of the connection, and its window. */
const FIRST = 1000, WINDOW = 0xffff;
/** Of struct sockaddr_in and sockaddr_in6: the other port, which nobody has. */
const PORTS = [1, 2] as const;
/** SO_ERROR of getsockopt(2), which takes the error away. */
const SO_ERROR = 4;
/** For how long the kernel may take to give up what is not acknowledged within a millisecond: TCP_TIMEOUT_INIT and more. */
const GIVING_UP = 30_000;
/** BPF_RET | BPF_K, of 0 bytes: a filter that takes nothing. */
const NOTHING = new Uint8Array(Uint16Array.of(0x06, 0, 0, 0).buffer);

/** Adds the calls, of the stage "connect", for a socket that is bound. */
export function planEnded(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  ended: inet_ended_entry,
  { force }: BufferLimits,
): void {
  const { own, entry } = socket;
  if (ended.error === Errno.ECONNREFUSED) return planRefused(program, fd, socket);
  const peer = {
    ...own,
    bytes: addressOf(own),
    port: PORTS.find((port) => port !== own.port) ?? 0,
  };
  const set = (name: number, value: number): void => planFlag(program, fd, SOL.TCP, name, value);
  set(TCP_OPTION.REPAIR, REPAIR.ON);
  for (const queue of [QUEUE.RECEIVE, QUEUE.SEND]) {
    set(TCP_OPTION.REPAIR_QUEUE, queue);
    set(TCP_OPTION.QUEUE_SEQ, FIRST);
  }
  const address = encodeAddress(peer);
  const text = endText(peer.bytes, peer.port);
  program.call("connect", fd, program.data(address, text), address.byteLength);
  planNumber(program, fd, force ? SO.RCVBUFFORCE : SO.RCVBUF, LARGEST_BUFFER);
  set(TCP_OPTION.REPAIR_QUEUE, QUEUE.RECEIVE);
  planBytesInto(program, fd, ended.received);
  set(TCP_OPTION.REPAIR_QUEUE, QUEUE.NONE);
  let received = FIRST + ended.received.byteLength;
  const window = repairWindow.make({
    sndWl1: received,
    sndWnd: WINDOW,
    maxWindow: WINDOW,
    rcvWnd: WINDOW,
    rcvWup: received,
  });
  const bytes = program.data(window, "window");
  program.call("setsockopt", fd, SOL.TCP, TCP_OPTION.REPAIR_WINDOW, bytes, window.byteLength);
  const ends = { own: { ...own, bytes: addressOf(own) }, peer, entry };
  if (ended.end) {
    planSegment(program, ends, { received, acknowledged: FIRST }, FLAGS.END);
    planArrival(program, fd, POLL.RDHUP, text);
    received++;
  }
  if (ended.error === Errno.ETIMEDOUT) return planTimeout(program, fd, socket, text);
  planSegment(program, ends, { received, acknowledged: FIRST }, FLAGS.RESET);
  planArrival(program, fd, 0, text);
  set(TCP_OPTION.REPAIR, REPAIR.OFF);
  if (ended.error !== 0) return;
  const value = program.output(4, "error");
  const length = program.output(new Uint8Array(Uint32Array.of(4).buffer), "size");
  program.call("getsockopt", fd, SOL_SOCKET, SO_ERROR, value, length);
}

/** Something is sent that nobody acknowledges. That nobody has the other port the kernel says, which is thrown away. */
function planTimeout(
  program: SyscallProgram,
  fd: Argument,
  { more }: SavedSocket,
  peer: string,
): void {
  const set = (name: number, value: number): void => planFlag(program, fd, SOL.TCP, name, value);
  // struct sock_fprog: the number of instructions, and at 8 where they are.
  const filter = program.data(new Uint8Array(BigUint64Array.of(1n, 0n).buffer), "nothing")
    .point(8, program.data(NOTHING, "nothing"));
  program.call("setsockopt", fd, SOL_SOCKET, SO.ATTACH_FILTER, filter, 16);
  set(TCP_OPTION.USER_TIMEOUT, 1);
  set(TCP_OPTION.REPAIR_QUEUE, QUEUE.SEND);
  const byte = program.data(new Uint8Array(1), "a byte");
  program.expect(1n, "sendto", fd, byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
  set(TCP_OPTION.REPAIR_QUEUE, QUEUE.NONE);
  set(TCP_OPTION.REPAIR, REPAIR.OFF);
  planArrival(program, fd, 0, peer, GIVING_UP);
  const kept = more.find(({ level, name }) => level === SOL.TCP && name === TCP_OPTION.USER_TIMEOUT)
    ?.value;
  const timeout = kept === undefined
    ? 0
    : new DataView(kept.buffer, kept.byteOffset).getInt32(0, true);
  set(TCP_OPTION.USER_TIMEOUT, timeout);
  planFlag(program, fd, SOL_SOCKET, SO.DETACH_FILTER, 0);
}

/** It asks for a connection at a port that is taken, and at which nobody listens. */
function planRefused(program: SyscallProgram, fd: Argument, { own, entry }: SavedSocket): void {
  const { family } = own;
  const at: Address = { ...own, bytes: addressOf(own), port: 0 };
  const other = program.call("socket", family, SOCK.STREAM | O.NONBLOCK | SOCK_CLOEXEC, 0);
  planDevice(program, other, entry.opts?.soBoundDev ?? "");
  planBind(program, other, at);
  const size = encodeAddress(at).byteLength;
  const name = program.output(size, "its name");
  const length = program.output(new Uint8Array(Uint32Array.of(size).buffer), "size");
  program.call("getsockname", other, name, length);
  // It does not wait: EINPROGRESS.
  program.try("connect", fd, name, size);
  planArrival(program, fd, 0, endText(at.bytes, 0));
  program.call("close", other);
}

/** The own address, at which something inside of this machine can reach it. */
function addressOf({ family, bytes }: Address): Uint8Array {
  if (!isAny(bytes)) return bytes;
  return family === AF_INET ? Uint8Array.of(127, 0, 0, 1) : new Uint8Array(16).with(15, 1);
}
