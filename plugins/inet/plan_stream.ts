/**
 * The calls that make TCP connections anew, in repair mode (TCP_REPAIR, `net/ipv4/tcp.c`): in the stage "connect" with
 * their numbers, options and what is in them; in the stage "task", when all of the tree are there, repair mode ends, and
 * what had not been sent yet is sent. Pure.
 *
 * A connection that has sent its end (FIN) sends it again then: the other end that has it already acknowledges it once
 * more. One that has received the other's end gets it from that, if it is in the images; otherwise a raw socket sends
 * it, inside of this machine.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import {
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_OOB,
  SOL_SOCKET,
} from "../../core/linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, POLL, SO, timeval } from "../../core/linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { type ImageBytes, planBytes } from "../../core/restore/image_bytes.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { type BufferLimits, planNumber, planRoom } from "../../core/restore/socket_options.ts";
import type { inet_urgent_entry } from "../../images/gen/inet_pb.ts";
import { present } from "../../images/present.ts";
import { type Address, encodeAddress, endText } from "./address.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { planBind, planTcpBind } from "./plan.ts";
import { planFlag } from "./plan_datagrams.ts";
import { FLAGS, type Numbers, planArrival, planSegment } from "./plan_segment.ts";
import type { SavedSocket, SavedStream } from "./socket.ts";
import { TCPI_OPT } from "./tcp_info.ts";
import { hasReceivedEnd, hasSentEnd, QUEUE, REPAIR, repairWindow } from "./tcp_stream.ts";

/** How much is put into a queue with one call. */
const PIECE = 1 << 16;
/** Numbers of options of TCP (`include/net/tcp.h`), as TCP_REPAIR_OPTIONS takes them: struct tcp_repair_opt. */
const OPTION = { MAXSEG: 2, WINDOW: 3, SACK_PERM: 4, TIMESTAMP: 8 } as const;
/** What TCP_MAXSEG takes, and what is taken where nothing is known: TCP_MIN_MSS, MAX_TCP_WINDOW, TCP_MSS_DEFAULT. */
const SMALLEST_SEGMENT = 88, LARGEST_SEGMENT = 32767, DEFAULT_SEGMENT = 536;
const HOW = MSG_DONTWAIT | MSG_NOSIGNAL;
/** A window that takes a byte. */
const URGENT_WINDOW = 0xffff;
/** SHUT_WR of shutdown(2). */
const SENDING = 1;
/** For how long a connection inside of this machine may be made, in seconds. */
const CONNECTING = 10n;

/** What they are. */
export function numbersOf({ entry }: SavedSocket, { entry: stream }: SavedStream): Numbers {
  const sentEnd = hasSentEnd(entry.state) ? 1 : 0,
    receivedEnd = hasReceivedEnd(entry.state) ? 1 : 0;
  return {
    received: (stream.inqSeq - receivedEnd) >>> 0,
    acknowledged: (stream.outqSeq - sentEnd - stream.outqLen) >>> 0,
  };
}

/**
 * How many bytes of what was written are restored as sent. Where the other end is in the images, it is those that that
 * has received: the others need not wait until they are missed.
 */
export function sentLength(
  socket: SavedSocket,
  stream: SavedStream,
  other: Numbers | undefined,
): number {
  const { outqLen, unsqLen } = stream.entry;
  if (other === undefined) return outqLen - unsqLen;
  const received = (other.received - numbersOf(socket, stream).acknowledged) | 0;
  return Math.min(Math.max(received, 0), outqLen);
}

/** Adds the calls of the stage "connect". @param other the numbers of its other end, if that is in the images */
export function planStream(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  stream: SavedStream,
  limits: BufferLimits,
  other: Numbers | undefined,
): void {
  const { entry, own, peer, urgent } = socket;
  const { force } = limits;
  const { entry: saved, received, sent } = stream;
  const numbers = numbersOf(socket, stream);
  const set = (name: number, value: number): void => planFlag(program, fd, SOL.TCP, name, value);
  const queue = (which: number): void => set(TCP_OPTION.REPAIR_QUEUE, which);
  set(TCP_OPTION.REPAIR, REPAIR.ON);
  planBind(program, fd, own);
  queue(QUEUE.RECEIVE);
  set(TCP_OPTION.QUEUE_SEQ, (numbers.received - saved.inqLen) | 0);
  queue(QUEUE.SEND);
  set(TCP_OPTION.QUEUE_SEQ, numbers.acknowledged | 0);
  // The window follows from it.
  planReceiveBuffer(program, fd, entry, limits);
  const address = encodeAddress(peer);
  const text = endText(peer.bytes, peer.port);
  // What is not known when it is connected is taken for the smallest that there is, and stays (tcp_connect_init(),
  // tcp_current_mss() of `net/ipv4/tcp_output.c`): every packet would be of 524 bytes.
  const segment = segmentOf(saved);
  if (segment !== undefined) set(TCP_OPTION.MAXSEG, segment);
  program.call("connect", fd, program.data(address, text), address.byteLength);
  set(TCP_OPTION.MAXSEG, 0);
  const options = repairOptions(saved);
  program.call(
    "setsockopt",
    fd,
    SOL.TCP,
    TCP_OPTION.REPAIR_OPTIONS,
    program.data(options, "options"),
    options.byteLength,
  );
  const timestamp = present(saved, "timestamp");
  if (timestamp !== undefined) set(TCP_OPTION.TIMESTAMP, timestamp | 0);
  for (const name of force ? [SO.SNDBUFFORCE, SO.RCVBUFFORCE] : [SO.SNDBUF, SO.RCVBUF]) {
    planNumber(program, fd, name, LARGEST_BUFFER);
  }
  queue(QUEUE.RECEIVE);
  planBytesInto(program, fd, received.subarray(0, urgent?.offset ?? received.byteLength));
  queue(QUEUE.SEND);
  planSent(program, fd, socket, sent, 0, sentLength(socket, stream, other));
  queue(QUEUE.NONE);
  if (urgent === undefined) planReceived(program, fd, socket, stream, limits, other);
}

/** Adds the calls for what comes when all that was received is there: the window, and the other end's end of data. */
function planReceived(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  stream: SavedStream,
  limits: BufferLimits,
  other: Numbers | undefined,
): void {
  const { entry } = socket;
  const window = windowOf(socket, stream);
  if (window !== undefined) planWindow(program, fd, window);
  // Of one that is CLOSING it came behind its own.
  if (other === undefined && hasReceivedEnd(entry.state) && entry.state !== TCP.CLOSING) {
    planOthersEnd(program, fd, socket, stream);
  }
  // Before anything comes: a larger one would take more than there is room for afterwards, and then its window would be
  // shut to what the other end has sent already, whose acknowledgements are thrown away as being beyond it: both would
  // wait for ever (tcp_sequence() of `net/ipv4/tcp_input.c`, tcp_acceptable_seq() of `tcp_output.c`).
  planReceiveBuffer(program, fd, entry, limits);
}

/** Adds the calls that have a connection receive the other end's end of data. */
function planOthersEnd(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  stream: SavedStream,
): void {
  planSegment(program, socket, numbersOf(socket, stream), FLAGS.END);
  planArrival(program, fd, POLL.RDHUP, endText(socket.peer.bytes, socket.peer.port));
}

/**
 * Adds the calls that have a connection receive urgent data, and what has come behind it. They go to the stage "task": the
 * kernel acknowledges it, and by then the other end is there, or its packets are held back.
 */
function planUrgent(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  stream: SavedStream,
  { offset, byte, read }: inet_urgent_entry,
): void {
  const { entry: saved, received } = stream;
  const numbers = numbersOf(socket, stream);
  const at = (numbers.received - saved.inqLen + offset) >>> 0;
  planWindow(
    program,
    fd,
    repairWindow.make({
      sndWl1: at,
      sndWnd: URGENT_WINDOW,
      maxWindow: URGENT_WINDOW,
      rcvWnd: URGENT_WINDOW,
      rcvWup: at,
    }),
  );
  const before = { received: at, acknowledged: numbers.acknowledged };
  planSegment(program, socket, before, FLAGS.URGENT, Uint8Array.of(byte));
  planArrival(program, fd, POLL.PRI, endText(socket.peer.bytes, socket.peer.port));
  if (read) {
    const room = program.output(1, "the urgent byte");
    program.expect(1n, "recvfrom", fd, room, 1, MSG_OOB, 0, 0);
  }
  planFlag(program, fd, SOL.TCP, TCP_OPTION.REPAIR_QUEUE, QUEUE.RECEIVE);
  planBytesInto(program, fd, received.subarray(offset + 1, received.byteLength));
  planFlag(program, fd, SOL.TCP, TCP_OPTION.REPAIR_QUEUE, QUEUE.NONE);
}

function planWindow(program: SyscallProgram, fd: Argument, window: Uint8Array): void {
  const bytes = program.data(window, "window");
  program.call("setsockopt", fd, SOL.TCP, TCP_OPTION.REPAIR_WINDOW, bytes, window.byteLength);
}

function planReceiveBuffer(
  program: SyscallProgram,
  fd: Argument,
  { opts }: SavedSocket["entry"],
  { force }: BufferLimits,
): void {
  if (opts === undefined) return;
  planNumber(program, fd, force ? SO.RCVBUFFORCE : SO.RCVBUF, opts.soRcvbuf >>> 1);
}

/** Adds the calls of the stage "task". */
export function planRelease(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  stream: SavedStream,
  limits: BufferLimits,
  other: Numbers | undefined,
): void {
  const { entry: { outqLen }, sent } = stream;
  if (socket.urgent !== undefined) {
    planUrgent(program, fd, socket, stream, socket.urgent);
    planReceived(program, fd, socket, stream, limits, other);
  }
  planFlag(program, fd, SOL.TCP, TCP_OPTION.REPAIR, REPAIR.OFF_AND_ASK);
  planSent(program, fd, socket, sent, sentLength(socket, stream, other), outqLen);
  if (hasSentEnd(socket.entry.state)) program.call("shutdown", fd, SENDING);
  if (other === undefined && socket.entry.state === TCP.CLOSING) {
    planOthersEnd(program, fd, socket, stream);
  }
}

/** Adds the calls that put a part of what was sent into its queue: urgent data as such. */
function planSent(
  program: SyscallProgram,
  fd: Argument,
  { urgentAt }: SavedSocket,
  sent: ImageBytes,
  from: number,
  to: number,
): void {
  const isIn = urgentAt !== undefined && urgentAt >= from && urgentAt < to;
  const before = isIn ? urgentAt : to;
  planBytesInto(program, fd, sent.subarray(from, before));
  if (!isIn) return;
  planBytesInto(program, fd, sent.subarray(before, before + 1), MSG_OOB);
  planBytesInto(program, fd, sent.subarray(before + 1, to));
}

/** Adds the calls that put bytes into the queue that is chosen. @param flags further ones of send(2) */
export function planBytesInto(
  program: SyscallProgram,
  fd: Argument,
  bytes: Uint8Array | ImageBytes,
  flags = 0,
): void {
  for (let from = 0; from < bytes.byteLength; from += PIECE) {
    const piece = bytes.subarray(from, Math.min(from + PIECE, bytes.byteLength));
    const data = planBytes(program, piece, `${piece.byteLength} bytes`);
    program.expect(
      BigInt(piece.byteLength),
      "sendto",
      fd,
      data,
      piece.byteLength,
      HOW | flags,
      0,
      0,
    );
  }
}

/** What both ends have agreed on: an array of struct tcp_repair_opt, a code and a value. */
function repairOptions(
  { optMask, sndWscale, rcvWscale, mssClamp }: SavedStream["entry"],
): Uint8Array {
  const pairs: number[] = [];
  if ((optMask & TCPI_OPT.SACK) !== 0) pairs.push(OPTION.SACK_PERM, 0);
  if ((optMask & TCPI_OPT.WSCALE) !== 0) pairs.push(OPTION.WINDOW, sndWscale | rcvWscale << 16);
  if ((optMask & TCPI_OPT.TIMESTAMPS) !== 0) pairs.push(OPTION.TIMESTAMP, 0);
  pairs.push(OPTION.MAXSEG, mssClamp);
  return new Uint8Array(Uint32Array.from(pairs).buffer);
}

/**
 * How much goes into a packet: what both ends have agreed on, and no more than half of the other end's window
 * (tcp_bound_to_half_wnd()), as far as it can be set.
 */
function segmentOf(saved: SavedStream["entry"]): number | undefined {
  const window = present(saved, "maxWindow") ?? 0;
  const bound = window > DEFAULT_SEGMENT ? window >>> 1 : LARGEST_SEGMENT;
  const segment = Math.min(saved.mssClamp, bound, LARGEST_SEGMENT);
  return segment < SMALLEST_SEGMENT ? undefined : segment;
}

/** Its windows; undefined where the images do not have them. */
function windowOf(
  { entry: { state } }: SavedSocket,
  { entry }: SavedStream,
): Uint8Array | undefined {
  if (present(entry, "maxWindow") === undefined) return undefined;
  const { sndWl1, sndWnd, maxWindow, rcvWnd, rcvWup } = entry;
  const end = hasReceivedEnd(state) ? 1 : 0;
  return repairWindow.make({
    sndWl1,
    sndWnd,
    maxWindow,
    rcvWnd: rcvWnd + end,
    rcvWup: (rcvWup - end) >>> 0,
  });
}

/** Adds the calls that connect a socket to one of the tree that listens, and wait for that. */
export function planConnect(program: SyscallProgram, fd: Argument, peer: Address): void {
  const address = encodeAddress(peer);
  const text = endText(peer.bytes, peer.port);
  const wait = (sec: bigint): void => {
    const time = program.data(timeval.make({ sec, usec: 0n }), `${sec} s`);
    program.call("setsockopt", fd, SOL_SOCKET, SO.SNDTIMEO, time, timeval.size);
  };
  const explain = (errno: string): StasisError | undefined =>
    errno !== "EINPROGRESS" ? undefined : new StasisError(
      "conflict",
      `a connection that waited to be accepted cannot be made anew: ${text}, which is to be the tree's, does not answer`,
      {
        errno,
        hint:
          "it may take fewer connections here (sysctl net.core.somaxconn), or a firewall is in the way (nft list ruleset)",
      },
    );
  wait(CONNECTING);
  program.explained(explain, "connect", fd, program.data(address, text), address.byteLength);
  wait(0n);
}

/** Adds the calls for a connection that is being made, or waits to be accepted: it is made anew. */
export function planConnecting(
  program: SyscallProgram,
  fd: Argument,
  { own, peer, isWaiting, sent }: SavedSocket,
  limits: BufferLimits,
): void {
  planTcpBind(program, fd, own, limits);
  if (!isWaiting) {
    const address = encodeAddress(peer);
    const to = program.data(address, endText(peer.bytes, peer.port));
    // It does not wait: EINPROGRESS.
    program.try("connect", fd, to, address.byteLength);
    return;
  }
  planStatusFlags(program, fd, 0, O.NONBLOCK);
  planConnect(program, fd, peer);
  if (sent.byteLength > 0) planRoom(program, fd, limits);
  planBytesInto(program, fd, sent);
  planStatusFlags(program, fd, O.NONBLOCK);
}

/** Whether a socket is a connection that is being made. */
export function isConnecting({ entry: { state } }: SavedSocket): boolean {
  return state === TCP.SYN_SENT;
}
