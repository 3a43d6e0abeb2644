/**
 * Anonymous pipes at restore: all ends of one pipe are made together.
 *
 * @module
 */
import { AT_FDCWD, F, O } from "../../core/linux/fcntl.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import { type ImageBytes, planBytes } from "../../core/restore/image_bytes.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { pipe_entry } from "../../images/gen/pipes_pb.ts";

/** What was in a pipe or fifo. */
export interface Contents {
  /** The size of the buffer in bytes; absent for the system's default. */
  readonly size?: number;
  /** The bytes, oldest first; one piece for each packet. */
  readonly chunks: readonly (Uint8Array | ImageBytes)[];
}

/** So much is written at once, in bytes: whole pages, so that it takes no more room than by one write. */
const PART = 1 << 20;

/** PIPE_BUF: a packet is at most a page (pipe_write() of `fs/pipe.c`). */
const PACKET_MAX = 4096;

/**
 * Adds calls that make a pipe with all its ends.
 *
 * @param ends every open file description of the pipe
 * @param spare a descriptor number that nobody uses, for opening the pipe by a known name
 * @returns the descriptor of each end by its id; every other descriptor is closed again
 */
export function planPipe(
  program: SyscallProgram,
  ends: readonly pipe_entry[],
  contents: Contents,
  spare: number,
): Map<number, Argument> {
  const pair = program.output(8, "pipe");
  // Without blocking, contents that do not fit are an error instead of a hang.
  program.call("pipe2", pair, O.CLOEXEC | O.NONBLOCK);
  const reader = pair.int(0);
  const writer = pair.int(4);
  const packets = ends.some(({ flags }) => (flags & O.DIRECT) !== 0);
  const writerFlags = planContents(program, writer, contents, packets);

  const made = new Map<number, Argument>();
  let readerUsed = false;
  let writerUsed = false;
  let named = false;
  for (const { id, flags } of ends) {
    const access = flags & O.ACCMODE;
    // The two that pipe2 makes lack O_LARGEFILE, which open(2) of /proc/PID/fd adds.
    const original = (flags & O.LARGEFILE) === 0;
    if (original && access === O.RDONLY && !readerUsed) {
      readerUsed = true;
      planStatusFlags(program, reader, flags, O.NONBLOCK);
      made.set(id, reader);
    } else if (original && access === O.WRONLY && !writerUsed) {
      writerUsed = true;
      planStatusFlags(program, writer, flags, writerFlags);
      made.set(id, writer);
    } else {
      if (!named) program.call("dup3", reader, spare, O.CLOEXEC);
      named = true;
      const how = reopenFlags(flags) | O.CLOEXEC;
      const end = program.call("openat", AT_FDCWD, `/proc/self/fd/${spare}`, how, 0);
      planStatusFlags(program, end, flags, how);
      made.set(id, end);
    }
  }
  if (named) program.call("close", spare);
  if (!readerUsed) program.call("close", reader);
  if (!writerUsed) program.call("close", writer);
  return made;
}

/**
 * Adds calls that fill a pipe: size first, then each piece, as packets where they were.
 *
 * @param writer a descriptor that writes and does not block
 * @param packets whether packet mode (O_DIRECT) is on at the writing end
 * @returns the status flags that the descriptor is left with
 */
export function planContents(
  program: SyscallProgram,
  writer: Argument,
  { size, chunks }: Contents,
  packets: boolean,
): number {
  if (size !== undefined) program.expect(BigInt(size), "fcntl", writer, F.SETPIPE_SZ, size);
  const fits = chunks.every(({ byteLength }) => byteLength <= PACKET_MAX);
  const direct = chunks.length > 1 || chunks.length === 1 && packets && fits;
  if (direct) program.call("fcntl", writer, F.SETFL, O.NONBLOCK | O.DIRECT);
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; at += PART) {
      const part = chunk.subarray(at, Math.min(at + PART, chunk.byteLength));
      const bytes = planBytes(program, part, `${part.byteLength} bytes`);
      program.expect(BigInt(part.byteLength), "write", writer, bytes, part.byteLength);
    }
  }
  return direct ? O.NONBLOCK | O.DIRECT : O.NONBLOCK;
}
