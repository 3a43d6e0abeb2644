/**
 * Messages of sockets: sending descriptors over a Unix socket (sendmsg(2) with SCM_RIGHTS, unix(7)), and looking
 * at what waits in one (recvmsg(2) with MSG_PEEK). The structures are described here for both ends: the other one
 * is a target, where the kernel's layout is the same.
 *
 * @module
 */
import { isErrno } from "../errno.ts";
import { addressOf, syscall } from "../libc_ffi.ts";
import { defineStruct } from "../struct.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";

/** struct user_msghdr (include/linux/socket.h). */
export const msghdr = defineStruct("msghdr", 56, {
  name: [0, "u64"],
  nameLen: [8, "u32"],
  iov: [16, "u64"],
  iovLen: [24, "u64"],
  control: [32, "u64"],
  controlLen: [40, "u64"],
  flags: [48, "u32"],
});

/** struct cmsghdr with one descriptor behind it; as much room as CMSG_SPACE(sizeof(int)) gives. */
export const cmsgDescriptor = defineStruct("cmsghdr", 24, {
  /** 20: CMSG_LEN(sizeof(int)). */
  len: [0, "u64"],
  level: [8, "i32"],
  type: [12, "i32"],
  fd: [16, "i32"],
});

/** struct iovec. */
export const iovec = defineStruct("iovec", 16, { base: [0, "u64"], len: [8, "u64"] });

export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
/** For recvmsg(2): the descriptors that come are closed by exec. */
export const MSG_CMSG_CLOEXEC = 0x40000000;
/** For sendmsg(2) and recvmsg(2): fail with EAGAIN instead of waiting. */
export const MSG_DONTWAIT = 0x40;
/** For recvmsg(2): leave the message where it is. */
export const MSG_PEEK = 2;
/** Urgent data. */
export const MSG_OOB = 1;
/** For recvmsg(2): return the true length; set where the message was longer than the buffer. */
const MSG_TRUNC = 0x20;
/** Set where there were more control messages than the buffer holds. */
const MSG_CTRUNC = 8;
/** For sendmsg(2): no SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;

/**
 * Sends one byte and a descriptor.
 *
 * @param socket a Unix socket of this process
 * @returns the number of bytes sent (1), or the negative errno
 */
export function sendFd(socket: number, fd: number): bigint {
  // All in one buffer: the kernel reads its parts through addresses, and only the whole is kept alive.
  const bytes = new Uint8Array(msghdr.size + iovec.size + cmsgDescriptor.size + 1);
  const base = addressOf(bytes);
  const iovAt = msghdr.size, controlAt = iovAt + iovec.size;
  const byteAt = controlAt + cmsgDescriptor.size;
  msghdr.write(bytes, {
    iov: base + BigInt(iovAt),
    iovLen: 1n,
    control: base + BigInt(controlAt),
    controlLen: BigInt(cmsgDescriptor.size),
  });
  iovec.write(bytes, { base: base + BigInt(byteAt), len: 1n }, iovAt);
  cmsgDescriptor.write(bytes, { len: 20n, level: SOL_SOCKET, type: SCM_RIGHTS, fd }, controlAt);
  return syscall(SYSCALLS.sendmsg, socket, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/** A message that waits in a socket. */
export interface PeekedMessage {
  /** The true length of what is left of it, or the negative errno; EAGAIN: nothing waits. */
  readonly result: bigint;
  /** Its bytes, as many as were asked for. */
  readonly bytes: Uint8Array;
  /** The address of the sender as the kernel gave it (struct sockaddr); empty: it has none. */
  readonly name: Uint8Array;
  /** The control messages, one behind the other. Descriptors among them are open here, and closed by exec. */
  readonly control: Uint8Array;
  /** There were more control messages than fit: descriptors that this process had no room for. */
  readonly controlCut: boolean;
}

/** sizeof(struct sockaddr_storage). */
const NAME_ROOM = 128;
/** Room for 253 descriptors (SCM_MAX_FD), credentials, a pidfd, a time stamp and a label. */
const CONTROL_ROOM = 8192;
/** Where the parts of {@link peekMessage}'s memory lie. */
const IOVEC_AT = msghdr.size, NAME_AT = IOVEC_AT + iovec.size, CONTROL_AT = NAME_AT + NAME_ROOM;
const BYTES_AT = CONTROL_AT + CONTROL_ROOM;
/** Bytes of a message that fit into the memory that is kept; for longer ones some is made. */
export const USUAL_MESSAGE = 1 << 16;

/** Memory for looking at a message, in one piece: the kernel reads its parts through addresses. */
export interface PeekMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly address: bigint;
}

let kept: PeekMemory | undefined;

/** Makes memory for looks at up to so many bytes, where many are taken. */
export function makePeekMemory(room: number): PeekMemory {
  const bytes = new Uint8Array(BYTES_AT + room);
  const address = addressOf(bytes);
  msghdr.write(bytes, {
    name: address + BigInt(NAME_AT),
    iov: address + BigInt(IOVEC_AT),
    iovLen: 1n,
    control: address + BigInt(CONTROL_AT),
  });
  iovec.write(bytes, { base: address + BigInt(BYTES_AT) }, IOVEC_AT);
  return { bytes, view: new DataView(bytes.buffer), address };
}

/** Memory for one look. */
function memoryFor(room: number): PeekMemory {
  if (room > USUAL_MESSAGE) return makePeekMemory(room);
  return kept ??= makePeekMemory(USUAL_MESSAGE);
}

/** Where the fields lie that each look sets or reads: those of {@link msghdr} and {@link iovec}. */
const NAME_LENGTH_AT = 8, CONTROL_LENGTH_AT = 40, FLAGS_AT = 48, IOVEC_LENGTH_AT = IOVEC_AT + 8;

/**
 * Looks at the message that waits in a socket, or with SO_PEEK_OFF at a later one, and leaves it there.
 *
 * @param room how many of its bytes to read; of a stream no more than wait, since whoever reads past the end gets
 * (and clears) an error that may wait there (unix_stream_read_generic() of `net/unix/af_unix.c`)
 * @param memory with room for as many, where there is some
 */
export function peekMessage(
  socket: number,
  room: number,
  memory: PeekMemory = memoryFor(room),
): PeekedMessage {
  const { bytes, view, address } = memory;
  view.setUint32(NAME_LENGTH_AT, NAME_ROOM, true);
  view.setBigUint64(CONTROL_LENGTH_AT, BigInt(CONTROL_ROOM), true);
  view.setUint32(FLAGS_AT, 0, true);
  view.setBigUint64(IOVEC_LENGTH_AT, BigInt(room), true);
  const how = MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
  const result = syscall(SYSCALLS.recvmsg, socket, address, how);
  const nothing = new Uint8Array(0);
  if (isErrno(result)) {
    return { result, bytes: nothing, name: nothing, control: nothing, controlCut: false };
  }
  const nameLength = Math.min(view.getUint32(NAME_LENGTH_AT, true), NAME_ROOM);
  const controlLength = Number(view.getBigUint64(CONTROL_LENGTH_AT, true));
  return {
    result,
    bytes: bytes.slice(BYTES_AT, BYTES_AT + Math.min(Number(result), room)),
    name: bytes.slice(NAME_AT, NAME_AT + nameLength),
    control: bytes.slice(CONTROL_AT, CONTROL_AT + controlLength),
    controlCut: (view.getUint32(FLAGS_AT, true) & MSG_CTRUNC) !== 0,
  };
}

/** Where nothing can be mapped: writing there fails. */
const NOWHERE = 8n;

/**
 * Looks at a stream and tells how many bytes of whole messages, as they were sent, wait there within a certain number of
 * bytes: that last one is not counted which does not fit. The kernel gives up at a message that it cannot write whole
 * to where it is to go, before it takes what comes beside it (unix_stream_read_generic() of `net/unix/af_unix.c`).
 *
 * @param room how many bytes; at least one more waits
 * @returns the bytes, or the negative errno; EFAULT: there is no whole message
 */
export function peekWholeMessages(socket: number, room: number): bigint {
  const bytes = new Uint8Array(msghdr.size + 2 * iovec.size + room);
  const base = addressOf(bytes);
  const bytesAt = msghdr.size + 2 * iovec.size;
  msghdr.write(bytes, { iov: base + BigInt(msghdr.size), iovLen: 2n });
  iovec.write(bytes, { base: base + BigInt(bytesAt), len: BigInt(room) }, msghdr.size);
  iovec.write(bytes, { base: NOWHERE, len: 1n }, msghdr.size + iovec.size);
  return syscall(SYSCALLS.recvmsg, socket, bytes, MSG_PEEK | MSG_DONTWAIT);
}
