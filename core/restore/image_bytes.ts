/**
 * Bytes of an image that a task of the tree reads from it itself, when it needs them: so what was in pipes and sockets
 * passes neither through the plan nor, all at once, through scratch memory.
 *
 * @module
 */
import { O } from "../linux/fcntl.ts";
import type { TreePlanner } from "../plugin.ts";
import type { ScratchData, SyscallProgram } from "../remote/program.ts";

/** An image that every task has open while the tree is built. */
export class ServedImage {
  #number: number | undefined;

  /** @param path where it is */
  constructor(readonly path: string) {}

  /** Has it opened; to be called by a `planTree` hook, before anything is read from it. */
  serve(tree: TreePlanner): void {
    this.#number = tree.serviceFile(this.path, O.RDONLY);
  }

  /** The descriptor number. */
  get number(): number {
    if (this.#number === undefined) throw new RangeError(`${this.path} is not served yet`);
    return this.#number;
  }
}

/** Some bytes of such an image. */
export class ImageBytes {
  /**
   * @param image which
   * @param offset where they begin in the file
   * @param byteLength how many
   */
  constructor(
    readonly image: ServedImage,
    readonly offset: number,
    readonly byteLength: number,
  ) {}

  /** A part of them. */
  subarray(start: number, end: number): ImageBytes {
    return new ImageBytes(this.image, this.offset + start, end - start);
  }
}

/** What is read into by each program; what was in it has been written by the time of the next read. */
const buffers = new WeakMap<SyscallProgram, ScratchData>();
const SMALLEST_BUFFER = 1 << 12;

/**
 * Adds what brings bytes into the scratch memory, to be used by the next call.
 *
 * @param bytes such as are in memory are a part of the program; others are read into a buffer that is used again
 * @param note what they are, for people
 */
export function planBytes(
  program: SyscallProgram,
  bytes: Uint8Array | ImageBytes,
  note: string,
): ScratchData {
  if (bytes instanceof Uint8Array) return program.data(bytes, note);
  const { image, offset, byteLength } = bytes;
  let buffer = buffers.get(program);
  if (buffer === undefined || buffer.bytes.byteLength < byteLength) {
    let size = SMALLEST_BUFFER;
    while (size < byteLength) size *= 2;
    buffers.set(program, buffer = program.output(size, "contents"));
  }
  program.expect(BigInt(byteLength), "pread64", image.number, buffer, byteLength, offset);
  return buffer;
}
