/**
 * The messages of a POSIX message queue: the kernel gives them to who receives them, and to nobody else. So they are
 * received and sent again, in the same order, by a process that comes to the end of it even if the tool is killed
 * meanwhile (`core/remote/survivor.ts`). Nobody notices: the tree stands still, nobody else has the queue open, and
 * nobody has asked to be told of messages.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { queueState } from "../../core/linux/mqueue.ts";
import { type ProgramReply, SyscallProgram } from "../../core/remote/program.ts";
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
 * @throws {StasisError} `syscall`
 */
export function peekQueue(fd: number, name: string): QueueMessage[] {
  const { messages, messageSize } = queueState(fd);
  if (messages === 0) return [];
  let read: (reply: ProgramReply) => QueueMessage[] | undefined = () => undefined;
  const reply = runSurviving(fd, (there) => {
    const program = new SyscallProgram(`the messages of ${name}`);
    read = addRotation(program, there, messages, messageSize);
    return program;
  });
  const found = read(reply);
  if (found !== undefined) return found;
  throw new StasisError("syscall", `the messages of ${name} cannot be read`, {
    hint: "somebody has used the queue meanwhile: try again",
  });
}

/**
 * Adds calls that receive all messages, and then send all of them again.
 *
 * @returns reads them out of the reply; undefined where a call has failed
 */
export function addRotation(
  program: SyscallProgram,
  fd: number,
  messages: number,
  messageSize: number,
): (reply: ProgramReply) => QueueMessage[] | undefined {
  const received = Array.from({ length: messages }, () => {
    const text = program.output(messageSize, "text");
    const priority = program.output(8, "priority");
    const size = program.try("mq_timedreceive", fd, text, messageSize, priority, 0);
    return { text, priority, size };
  });
  // What could not be received has no size, and is not sent.
  const sent = received.map(({ text, priority, size }) =>
    program.try("mq_timedsend", fd, text, size, priority.int(0), 0)
  );
  return (reply) => {
    if (sent.some((call) => isErrno(reply.result(call)))) return undefined;
    return received.map(({ text, priority, size }) => ({
      priority: new DataView(reply.output(priority).slice().buffer).getUint32(0, true),
      text: reply.output(text).slice(0, Number(reply.result(size))),
    }));
  };
}
