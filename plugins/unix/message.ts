/**
 * The calls that send messages. Pure.
 *
 * @module
 */
import { cmsghdr, SCM, ucred } from "../../core/linux/net/control_message.ts";
import {
  iovec,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  msghdr,
  SOL_SOCKET,
} from "../../core/linux/net/socket_ffi.ts";
import { planBytes } from "../../core/restore/image_bytes.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { ScratchData } from "../../core/remote/program.ts";
import type { Message } from "./group.ts";
import { type BufferLimits, planRoom } from "../../core/restore/socket_options.ts";

/** MSG_DONTWAIT: what does not fit is an error instead of a hang. */
const HOW = MSG_DONTWAIT | MSG_NOSIGNAL;
/** CMSG_SPACE(sizeof(struct ucred)). */
const CREDENTIALS_ROOM = 32;

/** Where a message goes: an address as connect(2) takes it. */
export interface Destination {
  readonly address: Argument;
  readonly size: number;
}

/** Adds the calls by which a socket fills the queue of its peer. */
export function planQueue(
  program: SyscallProgram,
  sender: Argument,
  queue: readonly Message[],
  limits: BufferLimits,
): void {
  if (queue.length === 0) return;
  planRoom(program, sender, limits);
  for (const message of queue) planMessage(program, sender, message);
}

/** Adds the call that sends one byte, whichever. */
export function planByte(program: SyscallProgram, fd: Argument): void {
  const byte = program.data(new Uint8Array(1), "1 byte");
  program.expect(1n, "sendto", fd, byte, 1, HOW, 0, 0);
}

/** Adds the call that sends a message, in the name of who sent it before. */
export function planMessage(
  program: SyscallProgram,
  fd: Argument,
  { bytes, sender }: Message,
  to: Destination = { address: 0, size: 0 },
): void {
  const { byteLength } = bytes;
  const length = BigInt(byteLength);
  const data = planBytes(program, bytes, `${byteLength} bytes`);
  if (sender === undefined) {
    program.expect(length, "sendto", fd, data, byteLength, HOW, to.address, to.size);
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
  const head = msghdr.make({
    nameLen: to.size,
    iovLen: 1n,
    controlLen: BigInt(CREDENTIALS_ROOM),
  });
  const io = program.data(iovec.make({ len: length }), "iovec").point(0, data);
  const beside = program.data(control, `credentials of ${pid}`);
  const message = program.data(head, `${byteLength} bytes of ${pid}`).point(16, io).point(
    32,
    beside,
  );
  if (to.size > 0) message.point(0, to.address as ScratchData);
  program.expect(length, "sendmsg", fd, message, HOW);
}
