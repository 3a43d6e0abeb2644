/**
 * The messages of a POSIX message queue: the kernel gives them to who receives them, and to nobody else. So they are
 * received and sent again, in the same order, by a process that comes to the end of it even if the tool is killed
 * meanwhile (`core/remote/survivor.ts`). Nobody notices: the tree stands still, nobody else has the queue open, and
 * nobody has asked to be told of messages (of those who have: `kernel_queue.ts`). If somebody opens it in that moment and fills it, the checkpoint fails, and
 * a process is left behind that sends the messages as soon as there is room for them.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { F } from "../../core/linux/fcntl.ts";
import { queueState } from "../../core/linux/mqueue.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import { runSurviving } from "../../core/remote/survivor.ts";

/** A message. */
export interface QueueMessage {
  readonly priority: number;
  readonly text: Uint8Array<ArrayBuffer>;
}

/**
 * Reads the messages of a queue, in the order in which they are received.
 *
 * @param fd may be read and written, and does not block
 * @param name for errors
 * @param meanwhile what somebody else does at the worst moment, for tests
 * @throws {StasisError} `syscall`
 */
export function peekQueue(
  fd: number,
  name: string,
  meanwhile?: Meanwhile,
): QueueMessage[] {
  const { messages, messageSize } = queueState(fd);
  if (messages === 0) return [];
  let rotation: Rotation | undefined;
  const reply = runSurviving(fd, (there) => {
    const program = new SyscallProgram(`the messages of ${name}`);
    rotation = addRotation(program, there, messages, messageSize, meanwhile);
    return program;
  }, (reply, there, program) => addSending(program, there, rotation?.unsent(reply) ?? []));
  const found = rotation?.read(reply);
  if (found !== undefined) return found;
  throw new StasisError("syscall", `the messages of ${name} cannot be read`, {
    hint: "somebody has used the queue meanwhile: try again",
  });
}

/**
 * When a message was last sent to a queue or received from it, in milliseconds since 1970: the kernel has it as the
 * time of the file's last change (do_mq_timedsend() and do_mq_timedreceive() of `ipc/mqueue.c`).
 */
export function lastUsed(fd: number): bigint {
  return BigInt(Deno.statSync(`/proc/self/fd/${fd}`).mtime?.getTime() ?? 0);
}

/** What is read out of the reply of a program that has received all messages and sent them again. */
export interface Rotation {
  /** The messages; undefined where a call has failed. */
  read(reply: ProgramReply): QueueMessage[] | undefined;
  /** Those that were received and could not be sent again. */
  unsent(reply: ProgramReply): QueueMessage[];
}

/** Adds calls between those that receive and those that send. */
type Meanwhile = (program: SyscallProgram, fd: number) => void;

/** Adds calls that receive all messages, and then send all of them again. */
function addRotation(
  program: SyscallProgram,
  fd: number,
  messages: number,
  messageSize: number,
  meanwhile?: Meanwhile,
): Rotation {
  const received = Array.from({ length: messages }, () => {
    const text = program.output(messageSize, "text");
    const priority = program.output(8, "priority");
    const size = program.try("mq_timedreceive", fd, text, messageSize, priority, 0);
    return { text, priority, size };
  });
  meanwhile?.(program, fd);
  const calls = received.map((one) => {
    const { text, priority, size } = one;
    // What could not be received has no size, and is not sent.
    const sent = program.try("mq_timedsend", fd, text, size, priority.int(0), 0);
    return { ...one, sent };
  });
  type Rotated = typeof calls[number];
  const messageOf = (reply: ProgramReply, { text, priority, size }: Rotated): QueueMessage => ({
    priority: new DataView(reply.output(priority).slice().buffer).getUint32(0, true),
    text: reply.output(text).slice(0, Number(reply.result(size))),
  });
  return {
    read(reply) {
      if (calls.some(({ sent }) => isErrno(reply.result(sent)))) return undefined;
      return calls.map((call) => messageOf(reply, call));
    },
    unsent: (reply) =>
      calls.filter(({ size, sent }) => !isErrno(reply.result(size)) && isErrno(reply.result(sent)))
        .map((call) => messageOf(reply, call)),
  };
}

/** Adds calls that send messages, each when there is room for it. @param fd is made to wait */
function addSending(program: SyscallProgram, fd: number, messages: readonly QueueMessage[]): void {
  if (messages.length === 0) return;
  program.call("fcntl", fd, F.SETFL, 0);
  for (const { priority, text } of messages) {
    program.try("mq_timedsend", fd, program.data(text, "text"), text.length, priority, 0);
  }
}
