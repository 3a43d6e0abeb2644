/**
 * What waits in a socket to be received, read without taking it out.
 *
 * Of a stream all bytes are there at one look. Messages have to be looked at one by one, with SO_PEEK_OFF
 * saying where the next one begins; it is put back afterwards. Two rules of the kernel make this delicate
 * (`net/unix/af_unix.c`, `net/core/datagram.c`): whoever reads past the end of a stream, and whoever reads a
 * message at all, gets and clears an error that waits in the socket (sock_error()). So a stream with an error is never
 * read past its end, and messages behind an error are left alone ({@link queueProblem}).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type NoteCall, PeekOffset } from "../../core/checkpoint/noted_socket.ts";
import {
  parseControl,
  receivedDescriptors,
  SCM,
  ucred,
} from "../../core/linux/net/control_message.ts";
import { Errno, errnoName, isErrno } from "../../core/linux/errno.ts";
import { bytesWaiting } from "../../core/linux/fcntl.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import {
  makePeekMemory,
  type PeekedMessage,
  type PeekMemory,
  peekMessage,
  peekWholeMessages,
  USUAL_MESSAGE,
} from "../../core/linux/net/socket_ffi.ts";
import { POLL, readNumber, SO } from "../../core/linux/net/socket_options.ts";
import { SHUTDOWN, SOCK, type UnixSocket } from "../../core/linux/net/unix_diag.ts";

/** Who sent a message. */
export interface Sender {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** What SCM_CREDENTIALS says of a message whose sender was not taken down: the overflow ids (`kernel/sys.c`). */
const OVERFLOW_ID = 65534;

/** Whether nobody took down who sent a message: it came before anybody asked for that. */
export function isUnknown({ pid, uid, gid }: Sender): boolean {
  return pid === 0 && uid === OVERFLOW_ID && gid === OVERFLOW_ID;
}

/** A message that waits; of a stream a piece. */
export interface QueuedMessage {
  readonly bytes: Uint8Array;
  /** The name of the socket that sent it; empty: it has none. */
  readonly from: Uint8Array;
  /** The descriptors that come with it, open here. */
  readonly rights: readonly OwnedDescriptor[];
  /** More come with it than this process may have. */
  readonly rightsCut: boolean;
  /** Who sent it, where the receiver asks for that (SO_PASSCRED). */
  readonly sender?: Sender;
  /** It is the urgent byte of a stream. */
  readonly isUrgent?: boolean;
}

/** Whether urgent data waits. @param ready what poll(2) says */
export function hasUrgent(ready: number): boolean {
  return (ready & POLL.PRI) !== 0;
}

/**
 * Why the queue cannot be looked at.
 *
 * @param ready what poll(2) says
 */
export function queueProblem({ type, shutdown }: UnixSocket, ready: number): string | undefined {
  if (hasUrgent(ready)) return "has urgent data (MSG_OOB) waiting";
  if ((ready & POLL.ERR) === 0) return undefined;
  // A stream whose peer has closed without reading everything; so does SOCK_SEQPACKET.
  if (type !== SOCK.DGRAM && shutdown === SHUTDOWN.BOTH) return undefined;
  return "has an error waiting that the program has not seen yet";
}

/**
 * Reads what waits in a socket.
 *
 * @param fd a duplicate of its descriptor; nobody else may receive meanwhile
 * @param ready what poll(2) says
 * @param note notes how SO_PEEK_OFF is put back
 * @param undo gets what closes the descriptors that came
 * @param carried how many descriptors there are, as the kernel says
 * @returns undefined if an error waits in front of it
 * @throws {StasisError} `syscall`
 */
export function peekQueue(
  fd: number,
  { type, shutdown }: UnixSocket,
  ready: number,
  note: NoteCall,
  undo: DisposableStack,
  carried = 0,
): QueuedMessage[] | undefined {
  const total = bytesWaiting(fd);
  if (type === SOCK.STREAM) {
    return total === 0 ? [] : peekStream(fd, total, (ready & POLL.ERR) !== 0, note, undo);
  }
  if ((ready & POLL.ERR) !== 0) return total === 0 ? [] : undefined;
  if ((ready & POLL.IN) === 0) return [];
  using offset = new PeekOffset(fd, note);
  // At its end a connection that is shut down gives empty messages without end.
  const ends = type === SOCK.SEQPACKET && (shutdown & SHUTDOWN.RECEIVE) !== 0;
  return peekMessages(fd, offset, ends ? { total, carried } : undefined, undo);
}

/**
 * @param total how many bytes the kernel counts. Linux 6.18 counts an urgent byte still that its program has passed over,
 *   and that is gone (manage_oob() of `net/unix/af_unix.c`): then fewer are there, and the count stays
 * @param hasError whether an error waits in it
 */
function peekStream(
  fd: number,
  total: number,
  hasError: boolean,
  note: NoteCall,
  undo: DisposableStack,
): QueuedMessage[] {
  // Made once: what comes in many pieces is looked at as often, each time with room for all that is left.
  const memory = total > USUAL_MESSAGE ? makePeekMemory(total) : undefined;
  if (readNumber(fd, SO.PEEK_OFF) === -1) {
    const whole = look(fd, total, undefined, memory);
    if (whole !== undefined && whole.bytes.byteLength === total && !hasRights(whole)) {
      return [whole];
    }
    closeRights(whole);
  }
  // It comes in pieces where the sender changes, or where descriptors come with it.
  using offset = new PeekOffset(fd, note);
  const pieces: QueuedMessage[] = [];
  for (let seen = 0; seen < total;) {
    offset.set(seen);
    const piece = look(fd, total - seen, undo, memory);
    if (piece === undefined || piece.bytes.byteLength === 0) {
      if (hasError || bytesWaiting(fd) !== total) throw changed(seen, total);
      break;
    }
    const before = hasRights(piece) ? plainBytes(fd, offset, seen, piece.bytes.byteLength) : 0;
    if (before > 0) {
      pieces.push({ ...piece, bytes: piece.bytes.slice(0, before), rights: [], rightsCut: false });
    }
    pieces.push({ ...piece, bytes: piece.bytes.slice(before) });
    seen += piece.bytes.byteLength;
  }
  return pieces;
}

/**
 * How many bytes of a piece with descriptors were sent before these: a look ends behind what came with descriptors, but
 * takes what lies in front along (unix_stream_read_generic() of `net/unix/af_unix.c`). Who reads only that part gets no
 * descriptors, and must not later.
 *
 * @param length of the piece, whose last message is the one with descriptors
 */
function plainBytes(fd: number, offset: PeekOffset, seen: number, length: number): number {
  offset.set(seen);
  const before = peekWholeMessages(fd, length - 1);
  if (before === -BigInt(Errno.EFAULT)) return 0;
  if (isErrno(before)) throw lookFailed(before);
  return Number(before);
}

/** How many descriptors come with messages. */
export function countRights(messages: readonly QueuedMessage[]): number {
  return messages.reduce((sum, { rights }) => sum + rights.length, 0);
}

function hasRights({ rights, rightsCut }: QueuedMessage): boolean {
  return rights.length > 0 || rightsCut;
}

function closeRights(message: QueuedMessage | undefined): void {
  for (const right of message?.rights ?? []) right[Symbol.dispose]();
}

/** @param end how many bytes and descriptors there are, where only that tells the end */
function peekMessages(
  fd: number,
  offset: PeekOffset,
  end: { readonly total: number; readonly carried: number } | undefined,
  undo: DisposableStack,
): QueuedMessage[] {
  const messages: QueuedMessage[] = [];
  let seen = 0;
  const isBehindAll = () => end !== undefined && seen >= end.total;
  while (!isBehindAll() || countRights(messages) < (end?.carried ?? 0)) {
    offset.set(seen);
    let message = look(fd, USUAL_MESSAGE, undo);
    if (message === undefined) break;
    if (message.length > USUAL_MESSAGE) {
      offset.set(seen);
      closeRights(message);
      message = look(fd, message.length, undo) ?? message;
      if (message.bytes.byteLength < message.length) throw changed(seen, message.length);
    }
    // An empty message in front of the end looks like the end, but for what it brings.
    if (isBehindAll() && !hasRights(message)) break;
    messages.push(message);
    seen += message.bytes.byteLength;
  }
  return messages;
}

/**
 * @param undo gets what closes the descriptors that come; where there is none the caller closes them
 * @param memory with room for so many bytes, where there is some
 * @returns undefined if nothing waits
 */
function look(
  fd: number,
  room: number,
  undo?: DisposableStack,
  memory?: PeekMemory,
): QueuedMessage & { readonly length: number } | undefined {
  const peeked = peekMessage(fd, room, memory);
  const { result } = peeked;
  if (result === -BigInt(Errno.EAGAIN)) return undefined;
  if (isErrno(result)) throw lookFailed(result);
  const message = { ...describe(peeked), length: Number(result) };
  for (const right of message.rights) undo?.use(right);
  return message;
}

function describe({ bytes, name, control, controlCut }: PeekedMessage): QueuedMessage {
  const messages = parseControl(control);
  const received = (type: number) =>
    receivedDescriptors(messages.filter((message) => message.type === type))
      .map((number) => new OwnedDescriptor(number));
  for (const sender of received(SCM.PIDFD)) sender[Symbol.dispose]();
  const credentials = messages.find(({ type }) => type === SCM.CREDENTIALS);
  return {
    bytes,
    // Behind the family, 2 bytes.
    from: name.slice(2),
    rights: received(SCM.RIGHTS),
    rightsCut: controlCut,
    sender: credentials === undefined ? undefined : ucred.read(credentials.data),
  };
}

function lookFailed(result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("syscall", `looking at the queue of a socket failed: ${errno}`, { errno });
}

function changed(seen: number, total: number): StasisError {
  return new StasisError(
    "syscall",
    `the queue of a socket has changed: ${seen} of ${total} bytes were there`,
    { hint: "somebody outside of the tree receives from it" },
  );
}
