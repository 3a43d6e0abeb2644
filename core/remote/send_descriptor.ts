/**
 * Gives a descriptor of this process to a stopped task, through a Unix socket of the task's own: it works in
 * whatever mount, pid or user namespace the task is, and whatever user it is.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isErrno } from "../linux/errno.ts";
import { openThreadPidfd, takeDescriptor } from "../linux/pidfd.ts";
import { readFds } from "../linux/procfs/mod.ts";
import {
  AF_UNIX,
  cmsgDescriptor,
  iovec,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  msghdr,
  SCM_RIGHTS,
  sendFd,
  SOCK_CLOEXEC,
  SOCK_STREAM,
} from "../linux/net/socket_ffi.ts";
import { SyscallProgram } from "./program.ts";
import type { RemoteTask } from "./remote_task.ts";
import type { Noted } from "./undo.ts";

/** A descriptor that a task has on loan; disposing of it closes it there. */
export class LentDescriptor implements Disposable {
  readonly #remote: RemoteTask;
  readonly #noted: Noted | undefined;
  #open = true;

  /** @param noted that the task has it */
  constructor(
    remote: RemoteTask,
    /** Its number in the task. */
    readonly fd: number,
    noted?: Noted,
  ) {
    this.#remote = remote;
    this.#noted = noted;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.#remote.tryUndoCall("close", this.fd);
      this.#noted?.erase();
    } catch (error) {
      // A task that is gone has no descriptors either.
      if (!(error instanceof StasisError && error.code === "no-such-task")) throw error;
    }
  }
}

/**
 * Lends a descriptor to a stopped task.
 *
 * @param remote the task
 * @param fd the descriptor here
 * @returns undefined if the task cannot take it: too many files are open in it (RLIMIT_NOFILE), or it has no
 * Unix sockets
 */
export function lendDescriptor(remote: RemoteTask, fd: number): LentDescriptor | undefined {
  const { pid, leader: { tid } } = remote;
  // The kernel gives the lowest free numbers, and the task opens nothing else meanwhile.
  const numbers = lowestFree(readFds(tid), 2);
  const noted = numbers.map((number) => remote.noteDescriptor(number));
  /** What the task has open for this, as far as is known: a program that was cancelled may have run all the same. */
  let open: readonly number[] = numbers;
  let kept: Noted | undefined;
  try {
    const pair = makePair(remote);
    open = pair ?? [];
    if (pair === undefined || !send({ pid, tid }, pair[0], fd)) return undefined;
    const number = receive(remote, pair);
    open = [];
    if (number === undefined) return undefined;
    // Somebody outside who shares the table may have opened something meanwhile, too.
    kept = number === numbers[0] ? noted[0] : noteOrClose(remote, number);
    return new LentDescriptor(remote, number, kept);
  } finally {
    for (const number of open) new LentDescriptor(remote, number)[Symbol.dispose]();
    for (const one of noted) if (one !== kept) one?.erase();
  }
}

/** Makes a pair of sockets in a task. @returns their numbers; undefined if it cannot have them */
function makePair(remote: RemoteTask): readonly [number, number] | undefined {
  const program = new SyscallProgram(`a socket in task ${remote.pid}`);
  const ends = program.output(8, "ends");
  const made = program.try("socketpair", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  const reply = remote.run(program);
  if (isErrno(reply.result(made))) return undefined;
  const pair = new DataView(reply.output(ends).slice().buffer);
  return [pair.getInt32(0, true), pair.getInt32(4, true)];
}

/** Sends a descriptor of this process into one end of a task's pair. @returns whether it went */
function send({ pid, tid }: { pid: number; tid: number }, end: number, fd: number): boolean {
  using pidfd = openThreadPidfd(tid, pid);
  using socket = takeDescriptor(pidfd, pid, end);
  return !isErrno(sendFd(socket.fd, fd));
}

/** Has a task take what waits in the other end, and close the pair. @returns the number; undefined without room */
function receive(
  remote: RemoteTask,
  [first, second]: readonly [number, number],
): number | undefined {
  const program = new SyscallProgram(`a descriptor for task ${remote.pid}`);
  program.try("close", first);
  const byte = program.output(1, "byte");
  const io = program.data(iovec.make({ len: 1n }), "iovec").point(0, byte);
  const control = program.output(cmsgDescriptor.size, "control");
  const message = program.output(
    msghdr.make({ iovLen: 1n, controlLen: BigInt(cmsgDescriptor.size) }),
    "msghdr",
  ).point(16, io).point(32, control);
  const received = program.try("recvmsg", second, message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  program.try("close", second);
  const reply = remote.run(program);
  const { len, type, fd } = cmsgDescriptor.read(reply.output(control));
  // Without room in its table the task gets the byte, and no control message.
  return isErrno(reply.result(received)) || len === 0n || type !== SCM_RIGHTS ? undefined : fd;
}

/** Notes a descriptor that is open already. Where that fails, it is closed again. */
function noteOrClose(remote: RemoteTask, fd: number): Noted | undefined {
  try {
    return remote.noteDescriptor(fd);
  } catch (error) {
    remote.tryUndoCall("close", fd);
    throw error;
  }
}

/** The lowest numbers that are not among the ascending ones. */
export function lowestFree(used: readonly number[], count: number): number[] {
  const free: number[] = [];
  let next = 0;
  for (let fd = 0; free.length < count; fd++) {
    if (used[next] === fd) next++;
    else free.push(fd);
  }
  return free;
}
