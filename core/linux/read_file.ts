/**
 * Reading a file whole, as those of `/proc` want it: the kernel gives them in pieces of a page, however much is asked
 * for (`seq_read_iter()` of `fs/seq_file.c`), and they have no size.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { addressOf, cString, syscall } from "./libc_ffi.ts";
import { CallBatch } from "./x86_64/call_batch_ffi.ts";
import { takeAhead } from "./x86_64/read_ahead_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const AT_FDCWD = -100;
const O_RDONLY_CLOEXEC = 0o2000000;
/**
 * How much one call reads, and how many are made together, at first and at most: of most files the first has all, the
 * second the end.
 */
const PIECE = 4096, FEW = 2, MANY = 64;

/** Room for a path with a zero behind it. Longer ones are read the long way. */
const PATH = 128;

/** The calls that read a short file, which nearly all are, made together: opening it, two pieces, closing it. */
interface ShortReader {
  readonly path: Uint8Array;
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly batch: CallBatch;
}

/** Where the calls stand in the batch. */
const OPEN = 0, FIRST = 4, SECOND = 5, CLOSE = 6;

let sharedShort: ShortReader | undefined;

function makeShortReader(): ShortReader {
  const path = new Uint8Array(PATH);
  const buffer = new Uint8Array(FEW * PIECE);
  const address = addressOf(buffer);
  const batch = new CallBatch([
    { name: "openat", args: [AT_FDCWD, path, O_RDONLY_CLOEXEC, 0] },
    ...[FIRST, SECOND, CLOSE].map((to) => ({ from: OPEN, to, position: 0 })),
    { name: "read", args: [-1, address, PIECE] },
    { name: "read", args: [-1, address + BigInt(PIECE), PIECE] },
    { name: "close", args: [-1] },
  ]);
  return { path, buffer, batch };
}

/** The bytes of a file of one piece, which are overwritten by the next one; undefined where it may be longer. */
function readShort(path: string): Uint8Array<ArrayBuffer> | undefined {
  const ahead = takeAhead(path);
  if (ahead !== undefined) return ahead.length === 1 ? ahead[0] : join(ahead);
  if (path.length >= PATH) return undefined;
  const { path: bytes, buffer, batch } = sharedShort ??= makeShortReader();
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (code >= 0x80) return undefined;
    bytes[at] = code;
  }
  bytes[path.length] = 0;
  batch.run();
  for (const call of [OPEN, FIRST]) {
    if (isErrno(batch.result(call))) throw failure(path, batch.result(call));
  }
  const size = Number(batch.result(FIRST));
  return size === 0 || batch.result(SECOND) === 0n ? buffer.subarray(0, size) : undefined;
}

interface Reader {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly batch: CallBatch;
}

let shared: Reader | undefined;

function makeReader(): Reader {
  const buffer = new Uint8Array(MANY * PIECE);
  const address = addressOf(buffer);
  const batch = new CallBatch(
    Array.from({ length: MANY }, (_, index) => ({
      name: "read" as const,
      args: [-1, address + BigInt(index * PIECE), PIECE],
    })),
  );
  return { buffer, batch };
}

/**
 * The bytes of a file.
 *
 * @param path text alone
 * @throws {StasisError} `io` with the errno's name
 */
export function readFile(path: string): Uint8Array<ArrayBuffer> {
  const short = readShort(path);
  if (short !== undefined) return short.slice();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  readFilePieces(path, (piece) => parts.push(piece.slice()));
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : join(parts);
}

/**
 * Reads a file piece by piece.
 *
 * @param path text alone
 * @param take is given each piece, which is overwritten when it returns
 * @throws {StasisError} `io` with the errno's name
 */
export function readFilePieces(path: string, take: (piece: Uint8Array<ArrayBuffer>) => void): void {
  const ahead = takeAhead(path);
  if (ahead !== undefined) return ahead.forEach(take);
  const fd = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), O_RDONLY_CLOEXEC, 0);
  if (isErrno(fd)) throw failure(path, fd);
  try {
    readAll(path, fd, take);
  } finally {
    syscall(SYSCALLS.close, fd);
  }
}

/** The text of a file, by what makes a string of its bytes. */
export function readFileText(path: string, decode: (bytes: Uint8Array) => string): string {
  return decode(readShort(path) ?? readFile(path));
}

function readAll(
  path: string,
  fd: bigint,
  take: (piece: Uint8Array<ArrayBuffer>) => void,
): void {
  // Whoever takes a piece may read another file.
  const reader = shared ?? makeReader();
  shared = undefined;
  try {
    const { buffer, batch } = reader;
    for (let count = FEW;; count = Math.min(2 * count, MANY)) {
      for (let index = 0; index < count; index++) batch.setArgument(index, 0, fd);
      batch.run(count);
      for (let index = 0; index < count; index++) {
        const result = batch.result(index);
        if (isErrno(result)) throw failure(path, result);
        if (result === 0n) return;
        const start = index * PIECE;
        take(buffer.subarray(start, start + Number(result)));
      }
    }
  } finally {
    shared = reader;
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

function failure(path: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("io", `could not read ${path}: ${errno}`, { errno });
}
