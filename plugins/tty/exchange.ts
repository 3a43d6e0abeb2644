/**
 * The calls that read what waits in a pseudoterminal and put it back. They are one program without choices of the
 * tool's, since the tool may be killed meanwhile: what depends on what was read is made where a call has returned
 * enough. A process that outlives the tool runs it (`core/remote/survivor.ts`). Pure.
 *
 * - Of the master's reader: up to 4,095 bytes lie in its buffer, the rest in the kernel's pieces behind that
 *   (drivers/tty/tty_buffer.c). The former go back by TIOCSTI on the master, which fills that buffer before it returns,
 *   the latter by writes to the slave of a size of which no room is wasted.
 * - Of the slave's reader: lines are read one by one, as they were typed, then the beginning of one without lines. They
 *   go back by TIOCSTI in modes in which nothing is changed, echoed or acted on. A line that does not end in its character was
 *   ended by a typed end of file: which it was, a table in a file tells.
 *
 * @module
 */
import { O } from "../../core/linux/fcntl.ts";
import {
  CC,
  encodeTermios,
  FLOW,
  MODES,
  POLL,
  type Termios,
  TTY,
} from "../../core/linux/terminal.ts";
import type { Argument, CallResult } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import type { ScratchData, SyscallProgram } from "../../core/remote/program.ts";
import { TtyFlow } from "../../images/gen/terminals_pb.ts";
import {
  anyInput,
  type Input,
  isByLines,
  rawInput,
  rawOutput,
  START,
  STOP,
  stoppable,
  TYPED_EOF,
} from "./raw.ts";

/** The reader's buffer of a terminal (N_TTY_BUF_SIZE), less one. */
export const BUFFER = 4095;
/** So many characters of whole lines are put back at most: each line may have all of them. */
export const MOST_IN_LINES = 100;
/** So many lines more than characters: such as nothing but an end of file was typed in. */
const EMPTY_LINES = 8;
/** So many pieces behind a buffer are read at most, each of this size at most. */
const PARTS = 128, PART = 2048;
/** The least size of a piece of the kernel's, and how many fill the largest one with one more behind it. */
const LEAST = 256, FILLERS = 15;
const RETURN = 13, NEWLINE = 10, IGNCR = 0o200;
const SEEK_END = 2;
/** The number under which the process has the slave. */
const SLAVE = 100;

/** What is known of a pseudoterminal before anything is read. */
export interface Looked {
  readonly termios: Termios;
  /** Whether the master's reader gets packets. */
  readonly packets: boolean;
  /** How many bytes lie in the master's buffer; 0 where nothing waits. */
  readonly output: number;
  /** How many bytes wait in the slave's, those of a line that has been begun not counted. */
  readonly input: number;
  /** Whether the slave's reader finds something. */
  readonly hasInput: boolean;
  /** Whether the slave takes nothing: it has been stopped, or is full. */
  readonly isStuck: boolean;
}

/** What was in a pseudoterminal. */
export interface PtyContents {
  /** For the slave's reader. */
  readonly input: Input;
  /** For the master's reader. */
  readonly output: Uint8Array;
  readonly flow: TtyFlow;
}

/** Whether there is anything to be read or asked that takes more than a look. */
export function needsExchange({ termios, output, input, isStuck }: Looked): boolean {
  return isByLines(termios) || output > 0 || input > 0 || isStuck;
}

/** What an exchange has found. */
export interface Exchange {
  contents(reply: ProgramReply): PtyContents;
  /** Whether everything is where it was. */
  isWhole(reply: ProgramReply): boolean;
}

/**
 * How what lies behind the buffer is written: the kernel takes it as it ever took that much. tty_buffer_alloc() of
 * drivers/tty/tty_buffer.c gives pieces room for twice their size, as long as the sum of sizes is not beyond 8,192. One
 * of the least size may be there from before.
 */
export function* outputPieces(): Generator<{ readonly at: number; readonly size: number }> {
  let at = 0;
  for (; at < 2 * (8192 - LEAST); at += LEAST) yield { at, size: LEAST };
  for (let more = 0; more < 4; more++, at += 1792) yield { at, size: 1792 };
}

/** Adds the calls. @param master its number in the process that makes them */
export function planExchange(program: SyscallProgram, master: number, looked: Looked): Exchange {
  const how = O.RDWR | O.NOCTTY | O.NONBLOCK | O.CLOEXEC;
  const opened = program.call("ioctl", master, TTY.TIOCGPTPEER, how);
  program.call("dup3", opened, SLAVE, O.CLOEXEC);
  program.call("close", opened);
  const plan = new Plan(program, master, looked);
  const output = plan.output();
  const input = plan.input();
  return {
    contents: (reply) => ({ input: input(reply), ...output(reply) }),
    isWhole: (reply) => plan.isWhole(reply),
  };
}

class Plan {
  /** Calls that put something back, and what they have to return at least. */
  readonly #put: { readonly call: CallResult; readonly least?: CallResult }[] = [];

  constructor(
    readonly program: SyscallProgram,
    readonly master: number,
    readonly looked: Looked,
  ) {}

  output(): (reply: ProgramReply) => Pick<PtyContents, "output" | "flow"> {
    const { program, master, looked: { output: count, packets, isStuck } } = this;
    const isFull = count === BUFFER && !packets;
    // Of a packet the first byte says what it is.
    const skipped = packets ? 1 : 0;
    const data = program.output(count + skipped, "output");
    const first = count > 0 ? program.try("read", master, data, count + skipped) : undefined;
    const rest = first === undefined || !isFull && (packets || isStuck)
      ? undefined
      : this.#readRest(first);
    const flow = isStuck ? this.#letFlow(isFull) : undefined;
    if (first !== undefined) {
      if (isFull) this.#shrink();
      for (let at = 0; at < count; at++) {
        this.#push(master, data.part(at + skipped), first, BigInt(at + skipped + 1));
      }
    }
    rest?.write();
    if (flow !== undefined) this.#stopAgain(flow, isFull);
    return (reply) => {
      const read = first === undefined ? 0 : Math.max(0, Number(reply.result(first)));
      const head = first === undefined ? data.bytes : reply.output(data).slice(skipped, read);
      return {
        output: joined([head, rest?.read(reply) ?? new Uint8Array(0)]),
        flow: flow === undefined || reply.result(flow.before) > 0n
          ? TtyFlow.FLOWS
          : reply.result(flow.after) > 0n
          ? TtyFlow.BY_CALL
          : TtyFlow.BY_CHARACTER,
      };
    };
  }

  /** Has the kernel let go of the last piece that it had, and have one of the least size instead: something else goes through. */
  #shrink(): void {
    const { program, master } = this;
    this.#modes(rawOutput(this.looked.termios));
    const filler = program.output(LEAST, "filler");
    for (let count = 0; count < FILLERS; count++) program.try("write", SLAVE, filler, LEAST);
    for (let count = 0; count < 2 * FILLERS; count++) {
      // Where nothing is to be read yet, that waits for the kernel's worker (n_tty_poll()).
      const waits = this.#poll(master, POLL.IN);
      program.tryWhere(waits, 1n, "read", master, filler, LEAST);
    }
    this.#modes(this.looked.termios);
  }

  /** Reads what comes when the buffer has room again, or was still on its way, into a file, which is written in pieces of other sizes. */
  #readRest(first: CallResult) {
    const { program, master } = this;
    const file = program.try("memfd_create", "output", 0);
    const part = program.output(PART, "part");
    const reads: CallResult[] = [];
    let last = first;
    for (let count = 0; count < PARTS; count++) {
      const waits = this.#pollWhere(last, master, POLL.IN, 0);
      last = program.tryWhere(waits, 1n, "read", master, part, PART);
      program.tryWhere(last, 1n, "write", file, part, last);
      reads.push(last);
    }
    const [second] = reads as [CallResult];
    const pieces = [...outputPieces()];
    const data = program.output(pieces.reduce((sum, { size }) => sum + size, 0), "the rest");
    const size = program.tryWhere(second, 1n, "pread64", file, data, data.bytes.byteLength, 0);
    const write = (): void => {
      this.#modes(rawOutput(this.looked.termios), second);
      let where = { result: second, least: 1n };
      for (const { at, size } of pieces) {
        const piece = program.output(size, "piece");
        const got = program.tryWhere(where.result, where.least, "pread64", file, piece, size, at);
        const call = program.tryWhere(got, 1n, "write", SLAVE, piece, got);
        this.#put.push({ call, least: got });
        where = { result: got, least: BigInt(size) };
      }
      this.#modes(this.looked.termios, second);
    };
    const read = (reply: ProgramReply): Uint8Array =>
      reply.output(data).slice(0, Math.max(0, Number(reply.result(size))));
    return { write, read };
  }

  /** Finds out what has stopped the output. Where there is more to be written it is let go in any case. */
  #letFlow(isFull: boolean): { readonly before: CallResult; readonly after: CallResult } {
    const before = this.#poll(SLAVE, POLL.OUT);
    this.#flow(FLOW.ON);
    const after = this.#poll(SLAVE, POLL.OUT);
    if (isFull) {
      this.#flow(FLOW.OFF);
      this.#flow(FLOW.ON);
    }
    return { before, after };
  }

  #stopAgain(
    { before, after }: { readonly before: CallResult; readonly after: CallResult },
    isFull: boolean,
  ): void {
    const { program } = this;
    // It took nothing before, and did after TCOON: 0 is TCOOFF. If it took something, 1 is TCOON, which changes nothing.
    program.tryWhere(after, 1n, "ioctl", SLAVE, TTY.TCXONC, before);
    if (!isFull) return;
    const table = this.#file(Uint8Array.of(STOP, START));
    const character = program.output(1, "stop");
    program.try("pread64", table, character, 1, after);
    this.#modes(stoppable(this.looked.termios));
    this.#put.push({ call: program.try("ioctl", SLAVE, TTY.TIOCSTI, character) });
    this.#modes(this.looked.termios);
  }

  input(): (reply: ProgramReply) => Input {
    const { looked: { termios, input, hasInput } } = this;
    if (!isByLines(termios)) return input === 0 ? () => NOTHING : this.#rawInput();
    return hasInput ? this.#lines() : this.#begun();
  }

  #rawInput(): (reply: ProgramReply) => Input {
    const { program, looked: { termios, input } } = this;
    this.#modes(rawInput(termios, false));
    const data = program.output(input, "input");
    const count = program.try("read", SLAVE, data, input);
    // What was still on its way.
    const late = program.output(Math.min(256, BUFFER - input), "late");
    const waits = this.#poll(SLAVE, POLL.IN);
    const more = program.tryWhere(waits, 1n, "read", SLAVE, late, late.bytes.byteLength);
    this.#pushAll(data, count);
    this.#pushAll(late, more);
    this.#modes(termios);
    return (reply) => ({
      data: joined([taken(reply, data, count), taken(reply, late, more)]),
      eof: [],
    });
  }

  /** The beginning of a line, which nobody is told of: so a write to the master has come to its end when that is asked for. */
  #begun(): (reply: ProgramReply) => Input {
    const { program, master, looked: { termios } } = this;
    const data = program.output(BUFFER, "the beginning of a line");
    this.#modes(anyInput(termios));
    const count = program.try("read", SLAVE, data, BUFFER);
    this.#modes(termios);
    this.#modes(rawInput(termios, false), count);
    const call = program.tryWhere(count, 1n, "write", master, data, count);
    this.#put.push({ call, least: count });
    this.#pollWhere(count, SLAVE, POLL.IN, 0);
    this.#modes(termios, count);
    return (reply) => ({ data: taken(reply, data, count), eof: [] });
  }

  #lines(): (reply: ProgramReply) => Input {
    const { program, looked: { termios, input } } = this;
    const ends = new Set(
      [NEWLINE, termios.cc[CC.VEOL], termios.cc[CC.VEOL2]].filter((end) => end !== 0),
    );
    const table = this.#file(
      Uint8Array.from({ length: 256 }, (_, byte) => ends.has(byte) ? RETURN : TYPED_EOF),
    );
    const lines: { readonly data: ScratchData; readonly count: CallResult }[] = [];
    for (let index = 0; index < input + EMPTY_LINES; index++) {
      const data = program.output(input + 1, "line");
      const former = lines.at(-1);
      const args: Argument[] = [SLAVE, data, input + 1];
      const count = former === undefined
        ? program.try("read", ...args)
        : program.tryWhere(former.count, 0n, "read", ...args);
      lines.push({ data, count });
    }
    this.#modes(anyInput(termios));
    const begun = program.output(BUFFER - input, "the beginning of a line");
    const begunCount = program.try("read", SLAVE, begun, begun.bytes.byteLength);
    // With nothing in it the buffer forgets nothing when lines begin to count again.
    this.#modes(termios);
    const ended = { ...rawInput(termios, true), iflag: (termios.iflag & MODES.IXON) | IGNCR };
    for (const { data, count } of lines) {
      this.#modes(rawInput(termios, false), count);
      this.#pushAll(data, count);
      const end = program.output(Uint8Array.of(TYPED_EOF), "end");
      const last = this.#lastByte(data, count);
      program.tryWhere(count, 1n, "pread64", table, end, 1, last.int(0));
      this.#modes(ended, count, 0n);
      this.#push(SLAVE, end, count, 0n);
    }
    this.#modes(rawInput(termios, false));
    this.#pushAll(begun, begunCount);
    this.#modes(termios);
    return (reply) => {
      const parts: Uint8Array[] = [];
      const eof: number[] = [];
      let length = 0;
      for (const { data, count } of lines) {
        if (reply.result(count) < 0n) break;
        const part = taken(reply, data, count);
        parts.push(part);
        length += part.byteLength;
        if (!ends.has(part.at(-1))) eof.push(length);
      }
      return { data: joined([...parts, taken(reply, begun, begunCount)]), eof };
    };
  }

  /** The last of so many bytes. */
  #lastByte(data: ScratchData, count: CallResult): ScratchData {
    const { program } = this;
    const last = program.output(4, "last byte");
    const file = program.tryWhere(count, 1n, "memfd_create", "line", 0);
    program.tryWhere(count, 1n, "write", file, data, count);
    program.tryWhere(count, 1n, "lseek", file, -1, SEEK_END);
    program.tryWhere(count, 1n, "read", file, last, 1);
    program.tryWhere(count, 1n, "close", file);
    return last;
  }

  isWhole(reply: ProgramReply): boolean {
    return this.#put.every(({ call, least }) => {
      const result = reply.result(call);
      if (result === NOT_MADE) return true;
      return result >= 0n && (least === undefined || result >= reply.result(least));
    });
  }

  #pushAll(data: ScratchData, count: CallResult): void {
    for (let at = 0; at < data.bytes.byteLength; at++) {
      this.#push(SLAVE, data.part(at), count, BigInt(at + 1));
    }
  }

  #push(fd: number, byte: Argument, where: CallResult, least: bigint): void {
    this.#put.push({ call: this.program.tryWhere(where, least, "ioctl", fd, TTY.TIOCSTI, byte) });
  }

  #modes(termios: Termios, where?: CallResult, least = 1n): void {
    const modes = this.program.data(encodeTermios(termios), "modes");
    if (where === undefined) this.program.try("ioctl", SLAVE, TTY.TCSETS2, modes);
    else this.program.tryWhere(where, least, "ioctl", SLAVE, TTY.TCSETS2, modes);
  }

  #flow(action: number): void {
    this.program.try("ioctl", SLAVE, TTY.TCXONC, action);
  }

  #poll(fd: number, events: number): CallResult {
    return this.program.try("poll", this.#pollfd(fd, events), 1, 0);
  }

  #pollWhere(where: CallResult, fd: number, events: number, ms: number): CallResult {
    return this.program.tryWhere(where, 1n, "poll", this.#pollfd(fd, events), 1, ms);
  }

  readonly #pollfds = new Map<string, ScratchData>();

  #pollfd(fd: number, events: number): ScratchData {
    const key = `${fd} ${events}`;
    let pollfd = this.#pollfds.get(key);
    if (pollfd === undefined) {
      const bytes = new Uint8Array(Int32Array.of(fd, events).buffer);
      this.#pollfds.set(key, pollfd = this.program.data(bytes, "pollfd"));
    }
    return pollfd;
  }

  /** A file with these bytes. */
  #file(bytes: Uint8Array): CallResult {
    const file = this.program.try("memfd_create", "table", 0);
    this.program.try("write", file, this.program.data(bytes, "table"), bytes.byteLength);
    return file;
  }
}

const NOTHING: Input = { data: new Uint8Array(0), eof: [] };
/** The result of a call that was not made. */
const NOT_MADE = -(1n << 63n);

function taken(reply: ProgramReply, data: ScratchData, count: CallResult): Uint8Array {
  return reply.output(data).slice(0, Math.max(0, Number(reply.result(count))));
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
