/**
 * The calls that make sockets anew. Pure.
 *
 * What waits in a socket is sent to it again by its peer, before anything is shut down, limited or filtered. A
 * peer that was closed is made too, and closed again when it has sent.
 *
 * @module
 */
import { cmsghdr, SCM, ucred } from "../../core/linux/control_message.ts";
import { O } from "../../core/linux/fcntl.ts";
import {
  AF_UNIX,
  iovec,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  msghdr,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../../core/linux/socket_ffi.ts";
import { SHUTDOWN } from "../../core/linux/unix_diag.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { sk_shutdown } from "../../images/gen/sockets_pb.ts";
import type { Group, Message, SavedSocket } from "./group.ts";
import { planAs } from "./identity.ts";
import { type BufferLimits, planOptions, planRoom } from "./options.ts";

/** As accept4(2) and the like take it. */
const SOCK_NONBLOCK = O.NONBLOCK;

/**
 * Adds the calls that make a group.
 *
 * @returns the descriptor of each by its id
 */
export function planGroup(
  program: SyscallProgram,
  group: Group,
  limits: BufferLimits,
): Map<number, Argument> {
  const [first, second] = group.sockets;
  const { type } = first.entry;
  const kind = type | SOCK_CLOEXEC | SOCK_NONBLOCK;
  if (group.kind === "single") {
    const fd = program.call("socket", AF_UNIX, kind, 0);
    finish(program, fd, first, limits);
    return new Map([[first.entry.id, fd]]);
  }
  const ends = program.output(8, "ends");
  planAs(program, first.extra?.peer, () => program.call("socketpair", AF_UNIX, kind, 0, ends));
  const one = ends.int(0), other = ends.int(4);
  planQueue(program, other, first, limits);
  if (second !== undefined) {
    planQueue(program, one, second, limits);
    finish(program, one, first, limits);
    finish(program, other, second, limits);
    return new Map<number, Argument>([[first.entry.id, one], [second.entry.id, other]]);
  }
  if (first.extra?.reset === true) {
    // Closing with something unread is what leaves ECONNRESET behind (unix_release_sock()).
    const byte = program.data(new Uint8Array(1), "1 byte");
    program.expect(1n, "sendto", one, byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
  }
  program.call("close", other);
  finish(program, one, first, limits);
  return new Map([[first.entry.id, one]]);
}

/** Adds the calls by which `sender` fills the queue of its peer. */
function planQueue(
  program: SyscallProgram,
  sender: Argument,
  { queue }: SavedSocket,
  limits: BufferLimits,
): void {
  if (queue.length === 0) return;
  planRoom(program, sender, limits);
  for (const message of queue) planMessage(program, sender, message);
}

/** Adds the call that sends a message, in the name of who sent it before. */
function planMessage(
  program: SyscallProgram,
  fd: Argument,
  { bytes, sender }: Message,
): void {
  const { byteLength } = bytes;
  const length = BigInt(byteLength);
  const data = program.data(bytes, `${byteLength} bytes`);
  const how = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (sender === undefined) {
    program.expect(length, "sendto", fd, data, byteLength, how, 0, 0);
    return;
  }
  // Takes CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID (scm_check_creds() of `net/core/scm.c`).
  const control = new Uint8Array(CREDENTIALS_ROOM);
  cmsghdr.write(control, {
    len: BigInt(cmsghdr.size + ucred.size),
    level: SOL_SOCKET,
    type: SCM.CREDENTIALS,
  });
  const { pid, uid, gid } = sender;
  ucred.write(control, { pid, uid, gid }, cmsghdr.size);
  const head = msghdr.make({ iovLen: 1n, controlLen: BigInt(CREDENTIALS_ROOM) });
  const io = program.data(iovec.make({ len: length }), "iovec").point(0, data);
  const beside = program.data(control, `credentials of ${sender.pid}`);
  const message = program.data(head, `${byteLength} bytes of ${sender.pid}`).point(16, io)
    .point(32, beside);
  program.expect(length, "sendmsg", fd, message, how);
}

/** CMSG_SPACE(sizeof(struct ucred)). */
const CREDENTIALS_ROOM = 32;

/** SHUT_RD, SHUT_WR, SHUT_RDWR of shutdown(2) by what the image says. */
const HOW: Readonly<Partial<Record<number, number>>> = {
  [SHUTDOWN.RECEIVE]: 0,
  [SHUTDOWN.SEND]: 1,
  [SHUTDOWN.BOTH]: 2,
};

/** Adds the calls for what comes when all messages are there. */
function finish(
  program: SyscallProgram,
  fd: Argument,
  { entry, extra }: SavedSocket,
  limits: BufferLimits,
): void {
  const how = HOW[entry.shutdown ?? sk_shutdown.NONE];
  if (how !== undefined) program.call("shutdown", fd, how);
  if (entry.opts !== undefined) {
    planOptions(program, fd, entry.opts, extra?.options ?? [], limits);
  }
  planStatusFlags(program, fd, entry.flags, O.NONBLOCK);
}
