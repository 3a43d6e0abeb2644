/**
 * What waits in a pseudoterminal, while everybody who has it stands still. The kernel lets nobody look at it: it is
 * read, and put back at once (`exchange.ts`), by a process that comes to the end of that even if the tool is killed.
 * What could not be put back is refused before anything is read.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { cString, ioctl, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { intBytes, POLL, pollNow, readTermios, TTY, ttyInt } from "../../core/linux/terminal.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { runSurviving } from "../../core/remote/survivor.ts";
import { TtyFlow } from "../../images/gen/terminals_pb.ts";
import {
  BUFFER,
  type Exchange,
  type Looked,
  MOST_IN_LINES,
  needsExchange,
  planExchange,
  type PtyContents,
} from "./exchange.ts";
import { isByLines } from "./raw.ts";

/** Nothing. */
export const EMPTY: PtyContents = {
  input: { data: new Uint8Array(0), eof: [] },
  output: new Uint8Array(0),
  flow: TtyFlow.FLOWS,
};

/**
 * Looks into a pseudoterminal and leaves it as it is.
 *
 * @param master the master
 * @param slave the slave, opened once more without blocking
 * @param name for errors
 * @param packets whether the master's reader gets packets
 * @param mayPush whether TIOCSTI may be used
 * @throws {StasisError} `unsupported` where something waits that cannot be put back; nothing has been read then
 */
export function lookInto(
  master: number,
  slave: number,
  name: string,
  packets: boolean,
  mayPush: () => boolean,
): PtyContents {
  const looked = look(master, slave, packets);
  const problem = problemOf(master, looked, mayPush);
  if (problem !== undefined) {
    const [what, hint] = problem;
    throw new StasisError("unsupported", `${name} ${what}`, { hint });
  }
  if (!needsExchange(looked)) return EMPTY;
  let exchange: Exchange | undefined;
  const reply = runSurviving(master, (there) => {
    const program = new SyscallProgram(`what waits in ${name}`);
    exchange = planExchange(program, there, looked);
    return program;
  });
  if (exchange !== undefined && reply.failed === undefined && exchange.isWhole(reply)) {
    return exchange.contents(reply);
  }
  const isLost = reply.failed === undefined;
  throw new StasisError(
    "syscall",
    isLost
      ? `of what waited in ${name} not everything could be put back: some of it is lost`
      : `${name} cannot be looked into: ${reply.describe(reply.failed ?? 0)}`,
    { hint: isLost ? "the kernel had less memory for it than before" : "nothing has been read" },
  );
}

function look(master: number, slave: number, packets: boolean): Looked {
  const termios = readTermios(slave);
  const readable = pollNow(slave);
  const hasInput = (readable & POLL.IN) !== 0;
  const input = hasInput || !isByLines(termios) ? ttyInt(slave, "FIONREAD") : 0;
  const waits = (pollNow(master) & POLL.IN) !== 0;
  const output = waits ? ttyInt(master, "FIONREAD") : 0;
  return { termios, packets, output, input, hasInput, isStuck: (readable & POLL.OUT) === 0 };
}

/** Why what waits cannot be put back, and what to do about it. */
function problemOf(
  master: number,
  { termios, packets, output, input, hasInput }: Looked,
  mayPush: () => boolean,
): readonly [what: string, hint: string] | undefined {
  const later = "try again when the program has read it";
  if (packets && (pollNow(master) & POLL.PRI) !== 0) {
    return ["is in packet mode, and an event of it waits for its reader", later];
  }
  if (packets && output >= BUFFER) {
    return ["is in packet mode, and 4,095 bytes or more wait for the reader of its master", later];
  }
  if (input >= BUFFER) return ["has 4,095 typed bytes or more waiting in it", later];
  if (isByLines(termios) && hasInput && input > MOST_IN_LINES) {
    return [`has more than ${MOST_IN_LINES} characters waiting in it, typed in whole lines`, later];
  }
  if (isByLines(termios) && (pollNow(master) & POLL.OUT) === 0) {
    return [
      "takes nothing from its master, whose output has been stopped",
      "let it go on (tcflow)",
    ];
  }
  if ((output > 0 || input > 0 || hasInput) && !mayPush()) {
    return [
      "has something waiting in it, and to put that back (TIOCSTI) is not allowed here",
      `it takes CAP_SYS_ADMIN in the first user namespace; or ${later}`,
    ];
  }
  return undefined;
}

/** Whether TIOCSTI may be used on terminals of others: tried on one of this process's own. */
export function mayPush(): boolean {
  const how = O.RDWR | O.NOCTTY | O.CLOEXEC;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString("/dev/ptmx"), how, 0);
  if (isErrno(opened)) return false;
  using master = new OwnedDescriptor(Number(opened));
  return ioctl(master.fd, TTY.TIOCSTI, intBytes(0)) >= 0;
}
