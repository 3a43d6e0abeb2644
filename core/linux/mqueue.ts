/**
 * POSIX message queues: what can be asked of one that is open.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { defineStruct } from "./struct.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** `struct mq_attr` (include/uapi/linux/mqueue.h). */
export const mqAttr = defineStruct("mq_attr", 64, {
  flags: [0, "i64"],
  maxMessages: [8, "i64"],
  messageSize: [16, "i64"],
  messages: [24, "i64"],
});

/** `struct sigevent` (include/uapi/asm-generic/siginfo.h), as mq_notify(2) takes it. */
export const mqSigevent = defineStruct("sigevent", 64, {
  value: [0, "u64"],
  signal: [8, "i32"],
  how: [12, "i32"],
});

/** How many messages there are in a queue and may be, and how long each. */
export interface QueueState {
  readonly maxMessages: number;
  /** In bytes. */
  readonly messageSize: number;
  readonly messages: number;
}

/** The state of a queue. @throws {StasisError} `syscall` */
export function queueState(fd: number): QueueState {
  const bytes = new Uint8Array(mqAttr.size);
  const result = syscall(SYSCALLS.mq_getsetattr, fd, 0, bytes);
  if (isErrno(result)) {
    const errno = errnoName(-result);
    throw new StasisError("syscall", `a message queue cannot be looked at: ${errno}`, { errno });
  }
  const { maxMessages, messageSize, messages } = mqAttr.read(bytes);
  return {
    maxMessages: Number(maxMessages),
    messageSize: Number(messageSize),
    messages: Number(messages),
  };
}

/**
 * Parses what a queue says when it is read: who has asked to be told of the next message (mq_notify(3)).
 *
 * @returns the process; undefined if nobody has
 */
export function parseNotified(text: string): number | undefined {
  const pid = Number(/NOTIFY_PID:(\d+)/.exec(text)?.[1] ?? 0);
  return pid === 0 ? undefined : pid;
}
