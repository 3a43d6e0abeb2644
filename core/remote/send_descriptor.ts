/**
 * Gives a descriptor of this process to a stopped task, through a Unix socket of the task's own: it works in
 * whatever mount, pid or user namespace the task is, and whatever user it is.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isErrno } from "../linux/errno.ts";
import { openPidfd, takeDescriptor } from "../linux/pidfd.ts";
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
  const { pid } = remote;
  // The kernel gives the lowest free numbers, and the task opens nothing else meanwhile.
  const [first, second] = lowestFree(readFds(pid), 2) as [number, number];
  const noted = [first, second].map((fd) => remote.noteDescriptor(fd));
  const forget = () => noted.forEach((one) => one?.erase());
  const opening = new SyscallProgram(`a socket in task ${pid}`);
  const ends = opening.output(8, "ends");
  const made = opening.try("socketpair", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  const opened = remote.run(opening);
  if (isErrno(opened.result(made))) {
    forget();
    return undefined;
  }
  const pair = new DataView(opened.output(ends).slice().buffer);
  const mine = pair.getInt32(0, true), theirs = pair.getInt32(4, true);

  let sent = false;
  try {
    using pidfd = openPidfd(pid);
    using socket = takeDescriptor(pidfd, pid, mine);
    sent = !isErrno(sendFd(socket.fd, fd));
  } finally {
    // The first end is of no more use, and the message waits in the second one.
    if (!sent) {
      closeBoth(remote, mine, theirs);
      forget();
    }
  }
  if (!sent) return undefined;

  const taking = new SyscallProgram(`a descriptor for task ${pid}`);
  taking.try("close", mine);
  const byte = taking.output(1, "byte");
  const io = taking.data(iovec.make({ len: 1n }), "iovec").point(0, byte);
  const control = taking.output(cmsgDescriptor.size, "control");
  const message = taking.output(
    msghdr.make({ iovLen: 1n, controlLen: BigInt(cmsgDescriptor.size) }),
    "msghdr",
  ).point(16, io).point(32, control);
  const received = taking.try("recvmsg", theirs, message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  taking.try("close", theirs);
  const reply = remote.run(taking);
  const { len, type, fd: number } = cmsgDescriptor.read(reply.output(control));
  // Without room in its table the task gets the byte, and no control message.
  if (isErrno(reply.result(received)) || len === 0n || type !== SCM_RIGHTS) {
    forget();
    return undefined;
  }
  // Somebody outside who shares the table may have opened something meanwhile, too.
  const known = number === first ? noted[0] : noteOrClose(remote, number);
  for (const one of noted) if (one !== known) one?.erase();
  return new LentDescriptor(remote, number, known);
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

function closeBoth(remote: RemoteTask, ...fds: number[]): void {
  const program = new SyscallProgram(`closing a socket in task ${remote.pid}`);
  for (const fd of fds) program.try("close", fd);
  remote.run(program);
}
