/**
 * What a TCP connection has in the kernel, read through a duplicate of its descriptor in repair mode (TCP_REPAIR,
 * `net/ipv4/tcp.c`), in which the kernel tells of its numbers and shows what was sent, and takes nothing away.
 *
 * Repair mode is on for some microseconds at a time, and the connection goes on meanwhile. It is read twice: first what
 * it has sent, of all connections, and then what they have received. So where both ends are read, what the one has not
 * acknowledged by the second look is in what the other has to send by the first: nothing is lost, and what is there twice
 * TCP itself sorts out by its numbers.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import {
  callsWithDuplicate,
  type NoteCall,
  PeekOffset,
  settingCall,
  type TaskDescriptor,
} from "../../core/checkpoint/noted_socket.ts";
import { Errno } from "../../core/linux/errno.ts";
import { ioctl, syscall } from "../../core/linux/libc_ffi.ts";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import { must } from "../../core/linux/must.ts";
import { MSG_DONTWAIT, MSG_PEEK, SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { readNumber, setNumber, SO } from "../../core/linux/net/socket_options.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { ListedCall } from "../../core/remote/undo.ts";
import { dropIncoming } from "./drop_incoming.ts";
import type { UrgentMark, UrgentStream } from "./kernel_sockets.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { readTcpInfo, type TcpInfo } from "./tcp_info.ts";

/**
 * TCP_REPAIR_ON; TCP_REPAIR_OFF, which asks the other end for its window; and TCP_REPAIR_OFF_NO_WP, which asks it for
 * nothing.
 */
export const REPAIR = { ON: 1, OFF_AND_ASK: 0, OFF: -1 } as const;
/** TCP_NO_QUEUE, TCP_RECV_QUEUE, TCP_SEND_QUEUE. */
export const QUEUE = { NONE: 0, RECEIVE: 1, SEND: 2 } as const;

/** struct tcp_repair_window. */
export const repairWindow = defineStruct("tcp_repair_window", 20, {
  sndWl1: [0, "u32"],
  sndWnd: [4, "u32"],
  maxWindow: [8, "u32"],
  rcvWnd: [12, "u32"],
  rcvWup: [16, "u32"],
});

/** States in which the own end of data has been sent, and in which the other's has been received. */
const SENT_END: readonly number[] = [TCP.FIN_WAIT1, TCP.FIN_WAIT2, TCP.CLOSING, TCP.LAST_ACK];
const RECEIVED_END: readonly number[] = [TCP.CLOSE_WAIT, TCP.CLOSING, TCP.LAST_ACK];

/** Whether a connection has sent its end (FIN), which has a number like a byte. */
export function hasSentEnd(state: number): boolean {
  return SENT_END.includes(state);
}

/** Whether it has received the other's. */
export function hasReceivedEnd(state: number): boolean {
  return RECEIVED_END.includes(state);
}

/** What a connection has sent. */
export interface SentPart {
  readonly info: TcpInfo;
  /** The number of the next byte that is written, the end counted. */
  readonly sequence: number;
  /** What was written and not acknowledged. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many of these were never sent. */
  readonly unsent: number;
  /** Behind how many of these there is urgent data. */
  readonly urgentAt?: number;
}

/** What it has received. */
export interface ReceivedPart {
  readonly info: TcpInfo;
  /** The number of the next byte that is expected, the end counted. */
  readonly sequence: number;
  /** What was received and not read. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly window: ReturnType<typeof repairWindow.read>;
  readonly timestamp: number;
  /** The largest segment that is sent (TCP_MAXSEG). */
  readonly segment: number;
  /** Where urgent data is in it. */
  readonly mark?: UrgentMark;
}

/** Reads what a connection with urgent data has received; undefined where there is none. */
export type UrgentReader = (fd: number) => UrgentStream | undefined;

const SIOCINQ = 0x541b, SIOCOUTQ = 0x5411, SIOCOUTQNSD = 0x894b;
/** More than one segment, some of which may be acknowledged and is shown all the same. */
const SLACK = 1 << 17;
/** How often something is looked at again that has changed meanwhile. */
const ATTEMPTS = 100;

/**
 * Reads what a connection has sent.
 *
 * While its queue is shown, whatever has the kernel send from it marks all of it as sent, and sends nothing
 * (`tcp_write_xmit()` of `net/ipv4/tcp_output.c`): it would be sent when it is missed, after 0.2 s or more. Mostly that
 * is an acknowledgement. So where something is unsent, nothing comes meanwhile, and the other end is asked to tell once
 * more what it has.
 *
 * @param note notes how that is ended
 * @param readUrgent tells the number behind urgent data that is not acknowledged
 * @throws {StasisError} `syscall`
 */
export function readSent(
  fd: number,
  note: NoteCall,
  readUrgent: (fd: number) => number | undefined = () => undefined,
): SentPart {
  const info = readTcpInfo(fd);
  const hasUnsent = count(fd, SIOCOUTQNSD) > 0;
  using _ = repaired(fd, hasUnsent ? REPAIR.OFF_AND_ASK : REPAIR.OFF);
  using _alone = hasUnsent ? dropIncoming(fd, note) : undefined;
  const { sequence, bytes } = showSent(fd);
  const end = hasSentEnd(info.state) ? 1 : 0;
  const unsent = Math.max(0, count(fd, SIOCOUTQNSD) - end);
  const part = { info, sequence, bytes, unsent: Math.min(unsent, bytes.byteLength) };
  const behind = bytes.byteLength === 0 ? undefined : readUrgent(fd);
  if (behind === undefined) return part;
  const urgentAt = (behind - 1 - (sequence - end - bytes.byteLength)) | 0;
  return urgentAt >= 0 && urgentAt < bytes.byteLength ? { ...part, urgentAt } : part;
}

function showSent(fd: number): Pick<SentPart, "sequence" | "bytes"> {
  setOption(fd, TCP_OPTION.REPAIR_QUEUE, QUEUE.SEND);
  const sequence = option(fd, TCP_OPTION.QUEUE_SEQ);
  const bytes = peek(fd, count(fd, SIOCOUTQ) + SLACK);
  setOption(fd, TCP_OPTION.REPAIR_QUEUE, QUEUE.NONE);
  return { sequence, bytes };
}

/**
 * Looks at what a connection that is over has received and its program has not read.
 *
 * @param room how much there is, at most
 * @param note notes how SO_PEEK_OFF is put back
 * @throws {StasisError} `syscall`
 */
export function peekReceived(fd: number, room: number, note: NoteCall): Uint8Array<ArrayBuffer> {
  if ((readNumber(fd, SO.PEEK_OFF) ?? -1) === -1) return peek(fd, room);
  using offset = new PeekOffset(fd, note);
  offset.set(-1);
  return peek(fd, room);
}

/**
 * Reads what it has received.
 *
 * @param note notes how SO_PEEK_OFF is put back
 * @param readUrgent reads the same where there is urgent data, which no look shows
 * @throws {StasisError} `syscall`
 */
export function readReceived(
  fd: number,
  note: NoteCall,
  readUrgent: UrgentReader = () => undefined,
): ReceivedPart {
  // Where it was set, a look begins there.
  if ((readNumber(fd, SO.PEEK_OFF) ?? -1) === -1) return readAtBegin(fd, readUrgent);
  using offset = new PeekOffset(fd, note);
  offset.set(-1);
  return readAtBegin(fd, readUrgent);
}

function readAtBegin(fd: number, readUrgent: UrgentReader): ReceivedPart {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = tryReceived(fd, readUrgent);
    if (found !== undefined) return found;
  }
  throw new StasisError("syscall", "a connection receives too fast to be looked at", {
    hint: "try again",
  });
}

function tryReceived(fd: number, readUrgent: UrgentReader): ReceivedPart | undefined {
  const info = readTcpInfo(fd);
  using _ = repaired(fd);
  setOption(fd, TCP_OPTION.REPAIR_QUEUE, QUEUE.RECEIVE);
  const sequence = option(fd, TCP_OPTION.QUEUE_SEQ);
  const urgent = readUrgent(fd);
  const waiting = urgent === undefined ? count(fd, SIOCINQ) : urgent.bytes.byteLength;
  const bytes = urgent === undefined ? peek(fd, waiting) : urgent.bytes;
  const window = readWindow(fd);
  const after = option(fd, TCP_OPTION.QUEUE_SEQ);
  setOption(fd, TCP_OPTION.REPAIR_QUEUE, QUEUE.NONE);
  const isSame = after === sequence && bytes.byteLength === waiting &&
    readTcpInfo(fd).state === info.state && (urgent === undefined || urgent.next === sequence);
  if (!isSame) return undefined;
  const timestamp = option(fd, TCP_OPTION.TIMESTAMP);
  const segment = option(fd, TCP_OPTION.MAXSEG);
  return { info, sequence, bytes, window, timestamp, segment, mark: urgent?.mark };
}

/**
 * Switches repair mode on for a scope. Switching it off takes SO_REUSEADDR away, which is put back.
 *
 * @param off how it ends
 */
function repaired(fd: number, off: number = REPAIR.OFF): Disposable {
  const reuse = readNumber(fd, SO.REUSEADDR) ?? 0;
  setOption(fd, TCP_OPTION.REPAIR, REPAIR.ON);
  return {
    [Symbol.dispose]() {
      setOption(fd, TCP_OPTION.REPAIR, off);
      setNumber(fd, SO.REUSEADDR, reuse);
    },
  };
}

/** Puts a connection into repair mode for good: whoever closes it then tells the other end nothing of it. */
export function repairForGood(fd: number): void {
  setOption(fd, TCP_OPTION.REPAIR, REPAIR.ON);
}

/** The calls by which somebody else ends the repair mode of a task's descriptor. */
export function unrepairingCalls(descriptor: TaskDescriptor, reuse: number): ListedCall[] {
  return callsWithDuplicate(descriptor, [
    settingCall(SOL.TCP, TCP_OPTION.REPAIR, REPAIR.OFF),
    settingCall(SOL_SOCKET, SO.REUSEADDR, reuse),
  ]);
}

/** The calls by which somebody else puts it into repair mode for good. */
export function repairingCalls(descriptor: TaskDescriptor): ListedCall[] {
  return callsWithDuplicate(descriptor, [settingCall(SOL.TCP, TCP_OPTION.REPAIR, REPAIR.ON)]);
}

function word(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

function setOption(fd: number, name: number, value: number): void {
  must(
    syscall(SYSCALLS.setsockopt, fd, SOL.TCP, name, word(value), 4),
    `setsockopt(${name}) of a TCP connection`,
  );
}

const value = new Uint8Array(repairWindow.size), length = new Uint8Array(4);

function readOption(fd: number, name: number, size: number): void {
  new DataView(length.buffer).setUint32(0, size, true);
  must(
    syscall(SYSCALLS.getsockopt, fd, SOL.TCP, name, value, length),
    `getsockopt(${name}) of a TCP connection`,
  );
}

/** An option that is a number. */
function option(fd: number, name: number): number {
  readOption(fd, name, 4);
  return new DataView(value.buffer).getUint32(0, true);
}

function readWindow(fd: number): ReceivedPart["window"] {
  readOption(fd, TCP_OPTION.REPAIR_WINDOW, repairWindow.size);
  return repairWindow.read(value);
}

function count(fd: number, request: number): number {
  const number = new Uint8Array(4);
  if (ioctl(fd, request, number) !== 0) {
    throw new StasisError("syscall", `ioctl(${request}) failed`);
  }
  return new DataView(number.buffer).getInt32(0, true);
}

function peek(fd: number, room: number): Uint8Array<ArrayBuffer> {
  if (room === 0) return new Uint8Array(0);
  const bytes = new Uint8Array(room);
  const got = syscall(SYSCALLS.recvfrom, fd, bytes, room, MSG_PEEK | MSG_DONTWAIT, 0, 0);
  if (got === -BigInt(Errno.EAGAIN)) return new Uint8Array(0);
  return bytes.slice(0, must(got, "recvfrom(MSG_PEEK) of a TCP connection"));
}
