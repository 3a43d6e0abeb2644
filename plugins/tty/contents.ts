/**
 * What waits in a pseudoterminal, while everybody who has it stands still. The kernel lets nobody look at it: it is
 * read, and put back at once. Whoever holds the program for a moment sees nothing of that; only a tool that is killed
 * between the two takes it along.
 *
 * - For the slave's reader, in canonical mode: whole lines are read as such (one that does not end in its character
 *   was ended by a typed end of file), then the rest of a line in another mode. They go back by TIOCSTI, which
 *   fills the reader's buffer before it returns, unlike a write to the master.
 * - For the master's reader: it goes back by a write to the slave without output processing.
 *
 * A terminal whose output was stopped takes nothing: it is let go for the moment.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../../core/linux/errno.ts";
import { ioctl, syscall } from "../../core/linux/libc_ffi.ts";
import {
  CC,
  FLOW,
  POLL,
  pollNow,
  readTermios,
  setTermios,
  type Termios,
  TTY,
  ttyInt,
} from "../../core/linux/terminal.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { TtyFlow } from "../../images/gen/terminals_pb.ts";
import {
  anyInput,
  type Input,
  isByLines,
  pieces,
  rawInput,
  rawOutput,
  STOP,
  stoppable,
  TYPED_EOF,
} from "./raw.ts";

/** What was in a pseudoterminal. */
export interface PtyContents {
  /** For the slave's reader. */
  readonly input: Input;
  /** For the master's reader. */
  readonly output: Uint8Array;
  readonly flow: TtyFlow;
}

/** Nothing. */
export const EMPTY: PtyContents = {
  input: { data: new Uint8Array(0), eof: [] },
  output: new Uint8Array(0),
  flow: TtyFlow.FLOWS,
};

/** The reader's buffer of a terminal (N_TTY_BUF_SIZE), less one. */
export const BUFFER = 4095;
const PART = 1 << 16;
const NEWLINE = 10;

/**
 * Looks into a pseudoterminal and leaves it as it is.
 *
 * @param master the master
 * @param slave the slave, opened once more without blocking
 * @param packets whether the master's reader gets packets
 * @throws {StasisError} `unsupported` where an event waits that cannot be put back; nothing has been read then
 */
export function lookInto(master: number, slave: number, packets: boolean): PtyContents {
  if (packets && (pollNow(master) & POLL.PRI) !== 0) {
    throw new StasisError(
      "unsupported",
      "an event of a pseudoterminal in packet mode waits for its reader",
      { hint: "try again when the program has read it" },
    );
  }
  const termios = readTermios(slave);
  // What is read makes room, and what comes into that is echoed: so the output comes last.
  const input = exchangeInput(slave, master, termios);
  return { input, ...exchangeOutput(master, slave, termios, packets) };
}

function exchangeInput(slave: number, master: number, termios: Termios): Input {
  const byLines = isByLines(termios);
  pollNow(slave);
  if (!byLines && ttyInt(slave, "FIONREAD") === 0) return EMPTY.input;
  const parts: Uint8Array[] = [];
  const eof: number[] = [];
  let length = 0;
  const take = (): number => {
    const part = readNow(slave);
    if (part === undefined) return -1;
    parts.push(part);
    length += part.byteLength;
    return part.byteLength;
  };
  try {
    if (byLines) {
      const { [CC.VEOL]: eol, [CC.VEOL2]: eol2 } = termios.cc;
      const ends = new Set([NEWLINE, eol, eol2].filter((end) => end !== 0));
      while (take() >= 0) {
        if (!ends.has((parts.at(-1) as Uint8Array).at(-1) as number)) eof.push(length);
      }
      setTermios(slave, anyInput(termios));
    }
    while (take() > 0);
  } finally {
    // With nothing in it the buffer forgets nothing when lines begin to count again.
    try {
      if (byLines) setTermios(slave, termios);
    } finally {
      if (parts.length > 0) putInput(slave, master, termios, { data: joined(parts), eof });
    }
  }
  return { data: joined(parts), eof };
}

function putInput(slave: number, master: number, termios: Termios, input: Input): void {
  try {
    let room = BUFFER;
    for (const { bytes, eof } of pieces(input)) {
      setTermios(slave, rawInput(termios, false));
      for (const byte of bytes.subarray(0, room)) pushByte(slave, byte);
      // What was under way waits behind a full buffer, as it did.
      if (bytes.byteLength > room) writeAll(master, bytes.subarray(room));
      room = Math.max(0, room - bytes.byteLength);
      if (!eof) continue;
      setTermios(slave, rawInput(termios, true));
      pushByte(slave, TYPED_EOF);
    }
  } finally {
    setTermios(slave, termios);
  }
}

function pushByte(slave: number, byte: number): void {
  const result = ioctl(slave, TTY.TIOCSTI, Uint8Array.of(byte));
  if (result < 0) throw lost("TIOCSTI", -result);
}

function exchangeOutput(
  master: number,
  slave: number,
  termios: Termios,
  packets: boolean,
): Pick<PtyContents, "output" | "flow"> {
  const waiting = ttyInt(master, "FIONREAD");
  const flow = (pollNow(slave) & POLL.OUT) === 0 && waiting < BUFFER
    ? letFlow(slave)
    : TtyFlow.FLOWS;
  const parts: Uint8Array[] = [];
  try {
    while ((pollNow(master) & POLL.IN) !== 0) {
      const part = readNow(master);
      if (part === undefined || part.byteLength === 0) break;
      // The first byte says what kind of packet it is: TIOCPKT_DATA.
      parts.push(packets ? part.subarray(1) : part);
    }
  } finally {
    try {
      if (parts.length > 0) {
        setTermios(slave, rawOutput(termios));
        writeAll(slave, joined(parts));
      }
    } finally {
      if (parts.length > 0) setTermios(slave, termios);
      stopAgain(slave, termios, flow);
    }
  }
  return { output: joined(parts), flow };
}

/** Lets a stopped output go. @returns what had stopped it */
function letFlow(slave: number): TtyFlow {
  xonc(slave, FLOW.ON);
  if ((pollNow(slave) & POLL.OUT) !== 0) return TtyFlow.BY_CALL;
  xonc(slave, FLOW.OFF);
  xonc(slave, FLOW.ON);
  if ((pollNow(slave) & POLL.OUT) !== 0) return TtyFlow.BY_CHARACTER;
  return TtyFlow.FLOWS;
}

function stopAgain(slave: number, termios: Termios, flow: TtyFlow): void {
  if (flow === TtyFlow.BY_CALL) xonc(slave, FLOW.OFF);
  if (flow !== TtyFlow.BY_CHARACTER) return;
  setTermios(slave, stoppable(termios));
  pushByte(slave, STOP);
  setTermios(slave, termios);
}

function xonc(slave: number, action: number): void {
  syscall(SYSCALLS.ioctl, slave, TTY.TCXONC, action);
}

/** Reads once. @returns undefined where nothing waits */
function readNow(fd: number): Uint8Array | undefined {
  const buffer = new Uint8Array(PART);
  const count = syscall(SYSCALLS.read, fd, buffer, buffer.byteLength);
  // EIO: the other end is closed, and everything has been read.
  if (count === -BigInt(Errno.EAGAIN) || count === -BigInt(Errno.EIO)) return undefined;
  if (isErrno(count)) throw lost("read", Number(-count));
  return buffer.subarray(0, Number(count));
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength;) {
    const rest = bytes.slice(at);
    const count = syscall(SYSCALLS.write, fd, rest, rest.byteLength);
    if (isErrno(count)) throw lost("write", Number(-count));
    at += Number(count);
  }
}

function lost(call: string, number: number): StasisError {
  const errno = errnoName(BigInt(number));
  return new StasisError("syscall", `${call} on a pseudoterminal failed: ${errno}`, { errno });
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
