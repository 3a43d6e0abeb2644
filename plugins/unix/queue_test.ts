import { deepEqual, equal, ok } from "@std/assert";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SCM } from "../../core/linux/net/control_message.ts";
import {
  AF_UNIX,
  cmsgDescriptor,
  msghdr,
  sendFd,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../../core/linux/net/socket_ffi.ts";
import { POLL, pollNow, readNumber, setNumber, SO } from "../../core/linux/net/socket_options.ts";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import { addressOf, cString, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { isUnknown, peekQueue, queueProblem } from "./queue.ts";
import { readState } from "./state.ts";

const MFD_CLOEXEC = 1;

/** A connected pair of this process. */
function makePair(type: number): [OwnedDescriptor, OwnedDescriptor] {
  const ends = new Int32Array(2);
  const bytes = new Uint8Array(ends.buffer);
  equal(syscall(SYSCALLS.socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, bytes), 0n);
  return [new OwnedDescriptor(ends[0] as number), new OwnedDescriptor(ends[1] as number)];
}

function send(fd: number, length: number, flags = 0): void {
  const bytes = Uint8Array.from({ length: Math.max(length, 1) }, (_, at) => at * 7 + length);
  equal(syscall(SYSCALLS.sendto, fd, bytes, length, flags, 0, 0), BigInt(length));
}

function socket(type: number, shutdown = 0): UnixSocket {
  const name = new Uint8Array(0);
  const more = { name, waiting: [], receiveQueue: 0, sendQueue: 0 };
  return { ino: 1, type, state: STATE.ESTABLISHED, shutdown, ...more };
}

/** A file without a path, with a name of its own. */
function makeFile(name: string): OwnedDescriptor {
  return new OwnedDescriptor(Number(syscall(SYSCALLS.memfd_create, cString(name), MFD_CLOEXEC)));
}

/** How many descriptors of such a file this process has. Others open and close theirs meanwhile. */
function descriptorsOf(name: string): number {
  return [...Deno.readDirSync("/proc/self/fd")].filter(({ name: fd }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${fd}`).startsWith(`/memfd:${name} `);
    } catch {
      return false;
    }
  }).length;
}

/** For what this process looks at of its own. */
const noteNothing = () => ({ erase() {} });

/** The lengths of what waits. */
function lengths(fd: number, type: number, shutdown = 0): number[] | undefined {
  using undo = new DisposableStack();
  return peekQueue(fd, socket(type, shutdown), pollNow(fd), noteNothing, undo)
    ?.map(({ bytes }) => bytes.byteLength);
}

for (const type of [SOCK.DGRAM, SOCK.SEQPACKET]) {
  Deno.test(`peekQueue() finds every message of type ${type}, however often, where it is`, () => {
    const [a, b] = makePair(type);
    using _a = a;
    using _b = b;
    deepEqual(lengths(b.fd, type), []);
    for (const length of [1, 100_000, 3, 70_000]) send(a.fd, length);
    for (let time = 0; time < 3; time++) deepEqual(lengths(b.fd, type), [1, 100_000, 3, 70_000]);
    using undo = new DisposableStack();
    const [, long] = peekQueue(b.fd, socket(type), pollNow(b.fd), noteNothing, undo) ?? [];
    ok(long?.bytes.every((byte, at) => byte === (at * 7 + 100_000 & 255)));
    equal(readNumber(b.fd, SO.PEEK_OFF), -1);
    setNumber(b.fd, SO.PEEK_OFF, 2);
    deepEqual(lengths(b.fd, type), [1, 100_000, 3, 70_000]);
    equal(readNumber(b.fd, SO.PEEK_OFF), 2);
  });

  Deno.test(`peekQueue() finds an empty message of type ${type}`, () => {
    const [a, b] = makePair(type);
    using _a = a;
    using _b = b;
    for (const length of [0, 5, 0, 6]) send(a.fd, length);
    deepEqual(lengths(b.fd, type), [0, 5, 0, 6]);
  });
}

Deno.test("peekQueue() comes to the end of a SOCK_SEQPACKET that is shut down", () => {
  const [a, b] = makePair(SOCK.SEQPACKET);
  using _a = a;
  using _b = b;
  for (const length of [0, 5, 6]) send(a.fd, length);
  equal(syscall(SYSCALLS.shutdown, a.fd, 1), 0n);
  deepEqual(lengths(b.fd, SOCK.SEQPACKET, SHUTDOWN.RECEIVE), [0, 5, 6]);
});

Deno.test("peekQueue() reads a stream whole, and leaves SO_PEEK_OFF alone", () => {
  const [a, b] = makePair(SOCK.STREAM);
  using _a = a;
  using _b = b;
  for (const length of [3, 90_000, 4]) send(a.fd, length);
  deepEqual(lengths(b.fd, SOCK.STREAM), [90_007]);
  setNumber(b.fd, SO.PEEK_OFF, 10);
  deepEqual(lengths(b.fd, SOCK.STREAM), [90_007]);
  equal(readNumber(b.fd, SO.PEEK_OFF), 10);
});

Deno.test("peekQueue() leaves the error that waits behind a stream", () => {
  const [a, b] = makePair(SOCK.STREAM);
  using _b = b;
  send(b.fd, 1);
  send(a.fd, 20);
  a[Symbol.dispose]();
  const ready = pollNow(b.fd);
  equal(ready & POLL.ERR, POLL.ERR);
  equal(queueProblem(socket(SOCK.STREAM, SHUTDOWN.BOTH), ready), undefined);
  deepEqual(lengths(b.fd, SOCK.STREAM, SHUTDOWN.BOTH), [20]);
  equal(pollNow(b.fd) & POLL.ERR, POLL.ERR, "the error is still there");
});

Deno.test("peekQueue() leaves messages alone that are behind an error", () => {
  const [a, b] = makePair(SOCK.SEQPACKET);
  using _b = b;
  send(b.fd, 1);
  send(a.fd, 20);
  a[Symbol.dispose]();
  equal(lengths(b.fd, SOCK.SEQPACKET, SHUTDOWN.BOTH), undefined);
  equal(pollNow(b.fd) & POLL.ERR, POLL.ERR, "the error is still there");
});

Deno.test("peekQueue() has the descriptors that come with each message, until they are given back", () => {
  for (const type of [SOCK.STREAM, SOCK.DGRAM, SOCK.SEQPACKET]) {
    const [a, b] = makePair(type);
    using _a = a;
    using _b = b;
    send(a.fd, 4);
    using sent = makeFile("sent by a test");
    equal(sendFd(a.fd, sent.fd), 1n);
    send(a.fd, 5);
    {
      using undo = new DisposableStack();
      const found = peekQueue(b.fd, socket(type), pollNow(b.fd), noteNothing, undo) ?? [];
      equal(descriptorsOf("sent by a test"), 2);
      // Of a stream, too, the four bytes come without: who reads these alone gets no descriptor.
      deepEqual(found.map(({ bytes }) => bytes.byteLength), [4, 1, 5]);
      deepEqual(found.map(({ rights }) => rights.length), [0, 1, 0]);
    }
    equal(descriptorsOf("sent by a test"), 1);
  }
});

/** Sends an empty message with a descriptor. */
function sendEmpty(via: number, fd: number): void {
  const bytes = new Uint8Array(msghdr.size + cmsgDescriptor.size);
  const control = addressOf(bytes) + BigInt(msghdr.size);
  msghdr.write(bytes, { control, controlLen: BigInt(cmsgDescriptor.size) });
  cmsgDescriptor.write(bytes, { len: 20n, level: SOL_SOCKET, type: SCM.RIGHTS, fd }, msghdr.size);
  equal(syscall(SYSCALLS.sendmsg, via, bytes, 0), 0n);
}

Deno.test("peekQueue() finds what comes with an empty message at the end of a connection", () => {
  const [a, b] = makePair(SOCK.SEQPACKET);
  using _a = a;
  using _b = b;
  using sent = makeFile("sent with nothing");
  send(a.fd, 5);
  sendEmpty(a.fd, sent.fd);
  equal(syscall(SYSCALLS.shutdown, a.fd, 1), 0n);
  using undo = new DisposableStack();
  const ends = socket(SOCK.SEQPACKET, SHUTDOWN.RECEIVE);
  const found = peekQueue(b.fd, ends, pollNow(b.fd), noteNothing, undo, 1) ?? [];
  deepEqual(found.map(({ bytes, rights }) => [bytes.byteLength, rights.length]), [[5, 0], [0, 1]]);
});

Deno.test("readState() has a problem with descriptors that cannot be found any more", () => {
  const [a, b] = makePair(SOCK.DGRAM);
  using _a = a;
  using _b = b;
  using sent = makeFile("looked at");
  sendEmpty(a.fd, sent.fd);
  using undo = new DisposableStack();
  const state = () => readState(b.fd, socket(SOCK.DGRAM), noteNothing, undo, 1);
  equal(state().problem, undefined);
  ok(state().problem?.includes("(SCM_RIGHTS) that cannot be found"));
});

Deno.test("peekQueue() says who sent a message, if the socket asks for it", () => {
  const [a, b] = makePair(SOCK.DGRAM);
  using _a = a;
  using _b = b;
  send(a.fd, 1);
  setNumber(b.fd, SO.PASSCRED, 1);
  send(a.fd, 2);
  using undo = new DisposableStack();
  const [before, after] = peekQueue(b.fd, socket(SOCK.DGRAM), pollNow(b.fd), noteNothing, undo) ??
    [];
  ok(before?.sender !== undefined && isUnknown(before.sender));
  equal(after?.sender?.pid, Deno.pid);
  equal(after?.sender?.uid, Deno.uid());
});

Deno.test("queueProblem() names urgent data", () => {
  const [a, b] = makePair(SOCK.STREAM);
  using _a = a;
  using _b = b;
  const MSG_OOB = 1;
  if (syscall(SYSCALLS.sendto, a.fd, new Uint8Array(1), 1, MSG_OOB, 0, 0) !== 1n) return;
  equal(queueProblem(socket(SOCK.STREAM), pollNow(b.fd)), "has urgent data (MSG_OOB) waiting");
});

Deno.test("peekQueue() finds what is behind urgent data that was passed over, and nothing where nothing is", () => {
  const MSG_OOB = 1, MSG_DONTWAIT = 0x40;
  const [a, b] = makePair(SOCK.STREAM);
  using _a = a;
  using _b = b;
  const receive = (count: number): bigint =>
    syscall(SYSCALLS.recvfrom, b.fd, new Uint8Array(count), count, MSG_DONTWAIT, 0, 0);
  send(a.fd, 3);
  if (syscall(SYSCALLS.sendto, a.fd, new Uint8Array(1), 1, MSG_OOB, 0, 0) !== 1n) return;
  send(a.fd, 4);
  // A reader stops in front of it, and the next call passes over it.
  equal(receive(10), 3n);
  equal(receive(1), 1n);
  equal(lengths(b.fd, SOCK.STREAM)?.reduce((sum, length) => sum + length, 0), 3);
  equal(receive(10), 3n);
  equal(lengths(b.fd, SOCK.STREAM)?.length, 0);
});
