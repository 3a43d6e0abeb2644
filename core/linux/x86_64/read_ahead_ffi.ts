/**
 * Files of `/proc` that another thread of this process reads while the one that traces does other things: half of the
 * time in which a tree stands still is the kernel's, and most of that is the reading of such files. Whoever reads one by
 * its path ({@link takeAhead}) is given what has been read; where there is nothing yet, it reads by itself.
 *
 * @module
 */
import { areThreadsScarce } from "../blocking_threads.ts";
import { isErrno } from "../errno.ts";
import { addressOf } from "../libc_ffi.ts";
import { ARGUMENTS, COPY, RESULT, runAside, WORDS } from "./call_batch_ffi.ts";
import { SYSCALLS } from "./syscalls.ts";

const AT_FDCWD = -100n;
const O_RDONLY_CLOEXEC = 0o2000000n;
/** What one call reads at most: the kernel gives such files in pieces of a page. */
const PIECE = 4096;
/** What stands where the result of a call will be: none returns that. */
const NOT_MADE = -(1n << 62n);
/** Behind the last piece there is to be nothing more. */
const END = 16;

/** How much memory the calls and what they read take at the most, in bytes: of the files behind that none is read. */
const MOST = 1 << 23;

/** A file that is to be read. */
export interface FileAhead {
  /** ASCII alone. */
  readonly path: string;
  /** How many bytes it has at the most, if it is to be of use; or it is a symbolic link. */
  readonly room: number | "link";
}

/** Room for what a link says. */
const LINK = 128;

/** Where a file's calls and its bytes stand. */
interface Place {
  readonly ahead: ReadAhead;
  /** The first of its calls. */
  readonly call: number;
  /** How many pieces are read of it, the one that tells the end not counted; none of a link. */
  readonly pieces: number;
  /** Where they begin. */
  readonly at: number;
}

const places = new Map<string, Place>();

/** Calls of a file with so many pieces: opening and closing it, reading, and handing the descriptor to both. */
function callCount(pieces: number): number {
  return pieces === 0 ? 1 : 2 * (pieces + 1) + 3;
}

/** Where the pieces of a file lie. */
function layOf(room: FileAhead["room"]) {
  if (room === "link") return { pieces: 0, size: LINK };
  const pieces = Math.max(1, Math.ceil(room / PIECE));
  return { pieces, size: (pieces === 1 ? (room + 15) & ~15 : pieces * PIECE) + END };
}

/** Files that are read ahead, from {@link begin} on until this is disposed of, which frees what was read of them. */
export class ReadAhead implements Disposable {
  readonly #paths: string[] = [];
  #words: BigInt64Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  readonly #places: Place[] = [];
  #isFinished = true;

  /** Gets the calls ready. @param files in the order in which they are read */
  constructor(files: Iterable<FileAhead>) {
    const rooms: FileAhead["room"][] = [];
    let calls = 0, size = 0;
    for (const { path, room } of files) {
      const { pieces, size: taken } = layOf(room);
      if (size + taken + (calls + callCount(pieces)) * WORDS * 8 > MOST) break;
      this.#paths.push(path);
      rooms.push(room);
      this.#places.push({ ahead: this, call: calls, pieces, at: size });
      calls += callCount(pieces);
      size += taken;
    }
    const names = this.#paths.reduce((sum, path) => sum + path.length + 1, 0);
    this.#words = new BigInt64Array(calls * WORDS);
    this.#bytes = new Uint8Array(size + names);
    this.#fill(rooms, size);
  }

  /** @param name where the paths begin */
  #fill(rooms: readonly FileAhead["room"][], name: number): void {
    const words = this.#words, bytes = this.#bytes;
    const base = addressOf(bytes), table = addressOf(new Uint8Array(words.buffer));
    const wordAt = (call: number, word: number) => table + BigInt((call * WORDS + word) * 8);
    rooms.forEach((room, index) => {
      const path = this.#paths[index] as string;
      const { call: open, pieces, at } = this.#places[index] as Place;
      const start = name;
      for (let i = 0; i < path.length; i++) bytes[name++] = path.charCodeAt(i);
      bytes[name++] = 0;
      const set = (call: number, number: number | bigint, ...args: bigint[]) => {
        words[call * WORDS] = BigInt(number);
        for (let i = 0; i < args.length; i++) {
          words[call * WORDS + ARGUMENTS + i] = args[i] as bigint;
        }
        words[call * WORDS + RESULT] = NOT_MADE;
      };
      const named = base + BigInt(start);
      if (room === "link") {
        return set(open, SYSCALLS.readlinkat, AT_FDCWD, named, base + BigInt(at), BigInt(LINK));
      }
      set(open, SYSCALLS.openat, AT_FDCWD, named, O_RDONLY_CLOEXEC);
      const result = wordAt(open, RESULT);
      let call = open + 1;
      const withDescriptor = (number: number, address: bigint, size: number) => {
        set(call, COPY, result, wordAt(call + 1, ARGUMENTS));
        set(call + 1, number, -1n, address, BigInt(size));
        call += 2;
      };
      const piece = pieces === 1 ? room : PIECE;
      const step = pieces === 1 ? (room + 15) & ~15 : PIECE;
      for (let i = 0; i <= pieces; i++) {
        withDescriptor(SYSCALLS.read, base + BigInt(at + i * step), i < pieces ? piece : END);
      }
      withDescriptor(SYSCALLS.close, 0n, 0);
    });
  }

  /** Has them read. Nothing of that may change until this is disposed of: the tasks stand still. */
  begin(): void {
    if (this.#paths.length === 0 || areThreadsScarce()) return;
    this.#paths.forEach((path, index) => places.set(path, this.#places[index] as Place));
    this.#isFinished = false;
    void runAside(this.#words, [this.#bytes]).then(() => this.#isFinished = true);
  }

  /** Whether the other thread has read all, and has no file open any more. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** The pieces of a file; undefined where it has not been read yet, or not whole, or cannot be. */
  pieces({ call, pieces, at }: Place): Uint8Array<ArrayBuffer>[] | undefined {
    const last = call + callCount(pieces) - 1;
    const closed = Atomics.load(this.#words, last * WORDS + RESULT);
    if (closed === NOT_MADE) return undefined;
    if (pieces === 0) {
      const isWhole = closed > 0n && closed < BigInt(LINK);
      return isWhole ? [this.#bytes.subarray(at, at + Number(closed))] : undefined;
    }
    const found: Uint8Array<ArrayBuffer>[] = [];
    for (let piece = 0; piece <= pieces; piece++) {
      const result = this.#words[(call + 2 + 2 * piece) * WORDS + RESULT] as bigint;
      if (isErrno(result)) return undefined;
      if (result === 0n) return found;
      const start = at + piece * PIECE;
      found.push(this.#bytes.subarray(start, start + Number(result)));
    }
    // There is more.
    return undefined;
  }

  [Symbol.dispose](): void {
    for (const path of this.#paths) {
      if (places.get(path)?.ahead === this) places.delete(path);
    }
    // Until then it is the other thread's.
    if (!this.#isFinished) return;
    this.#words = new BigInt64Array();
    this.#bytes = new Uint8Array();
  }
}

/**
 * What has been read ahead of a file, once: whoever reads it again wants it as it is then. A link stays what it is.
 *
 * @returns its pieces, which stay as they are; undefined where it is to be read now
 */
export function takeAhead(path: string): Uint8Array<ArrayBuffer>[] | undefined {
  if (places.size === 0) return undefined;
  const place = places.get(path);
  if (place === undefined) return undefined;
  if (place.pieces > 0) places.delete(path);
  return place.ahead.pieces(place);
}
