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
  MSG_OOB,
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
/** What follows a control message begins at a multiple of this (CMSG_ALIGN). */
const ALIGNMENT = 8;

/** Where a message goes: an address as connect(2) takes it. */
export interface Destination {
  readonly address: Argument;
  readonly size: number;
}

/** What filling queues depends on beside the images. */
export interface QueueMeans {
  readonly limits: BufferLimits;
  /** The number of an open file that comes with a message, when all are there. */
  numberOf(id: number): number;
}

/** Adds the calls by which a socket fills the queue of its peer. */
export function planQueue(
  program: SyscallProgram,
  sender: Argument,
  queue: readonly Message[],
  means: QueueMeans,
): void {
  if (queue.length === 0) return;
  planRoom(program, sender, means.limits);
  for (const message of queue) planMessage(program, sender, message, means);
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
  { bytes, sender, rights = [], urgent }: Message,
  means: QueueMeans,
  to: Destination = { address: 0, size: 0 },
): void {
  const { byteLength } = bytes;
  const length = BigInt(byteLength);
  const data = planBytes(program, bytes, `${byteLength} bytes`);
  if (sender === undefined && rights.length === 0) {
    const how = urgent === true ? HOW | MSG_OOB : HOW;
    program.expect(length, "sendto", fd, data, byteLength, how, to.address, to.size);
    return;
  }
  const parts: Uint8Array[] = [];
  const names: string[] = [];
  if (sender !== undefined) {
    // Takes CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID (scm_check_creds() of `net/core/scm.c`).
    const { pid, uid, gid } = sender;
    parts.push(controlMessage(SCM.CREDENTIALS, ucred.make({ pid, uid, gid })));
    names.push(`credentials of ${pid}`);
  }
  if (rights.length > 0) {
    const numbers = Int32Array.from(rights, (id) => means.numberOf(id));
    parts.push(controlMessage(SCM.RIGHTS, new Uint8Array(numbers.buffer)));
    names.push(`descriptors ${numbers.join(", ")}`);
  }
  const control = Uint8Array.from(parts.flatMap((part) => [...part]));
  const head = msghdr.make({
    nameLen: to.size,
    iovLen: 1n,
    controlLen: BigInt(control.byteLength),
  });
  const io = program.data(iovec.make({ len: length }), "iovec").point(0, data);
  const beside = program.data(control, names.join(", "));
  const message = program.data(head, `${byteLength} bytes with ${names.join(", ")}`)
    .point(16, io)
    .point(32, beside);
  if (to.size > 0) message.point(0, to.address as ScratchData);
  program.expect(length, "sendmsg", fd, message, HOW);
}

/** A control message with the room that it takes (CMSG_SPACE). */
function controlMessage(type: number, data: Uint8Array): Uint8Array {
  const len = cmsghdr.size + data.byteLength;
  const bytes = new Uint8Array(Math.ceil(len / ALIGNMENT) * ALIGNMENT);
  cmsghdr.write(bytes, { len: BigInt(len), level: SOL_SOCKET, type });
  bytes.set(data, cmsghdr.size);
  return bytes;
}
