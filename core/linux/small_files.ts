/**
 * Small files, each read or made by one call out of JavaScript.
 *
 * @module
 */
import type { SmallFiles } from "../../images/small_files.ts";
import { isErrno } from "./errno.ts";
import { statPath } from "./files.ts";
import { addressOf, cString, syscall } from "./libc_ffi.ts";
import { CallBatch } from "./x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const AT_FDCWD = -100;
const O_RDONLY_CLOEXEC = 0o2000000;
/** O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC */
const O_NEW = 0o2000301;
const S_IFMT = 0o170000, S_IFREG = 0o100000;

/** The largest file that is small, in bytes. */
const MOST = 32 << 10;
/** Room for a path with a zero behind it. */
const PATH = 1024;

/** Calls with a path and a buffer that are kept. */
interface Calls {
  readonly path: Uint8Array;
  readonly buffer: Uint8Array;
  readonly batch: CallBatch;
}

/** Where they stand in the batch: an open file is passed on to the two behind. */
const OPEN = 0, TRANSFER = 3, CLOSE = 4, SIZE_ARGUMENT = 2;

function makeCalls(name: "read" | "write", flags: number): Calls {
  const path = new Uint8Array(PATH);
  // One byte more than may be read: a file that has grown is seen.
  const buffer = new Uint8Array(MOST + 1);
  const batch = new CallBatch([
    { name: "openat", args: [AT_FDCWD, path, flags, 0o600] },
    ...[TRANSFER, CLOSE].map((to) => ({ from: OPEN, to, position: 0 })),
    { name, args: [-1, addressOf(buffer), 0] },
    { name: "close", args: [-1] },
  ]);
  return { path, buffer, batch };
}

let reader: Calls | undefined, writer: Calls | undefined;

/** Puts a path down. @returns whether there is room for it, and it is of ASCII alone */
function setPath(bytes: Uint8Array, path: string): boolean {
  if (path.length >= PATH) return false;
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (code === 0 || code >= 0x80) return false;
    bytes[at] = code;
  }
  bytes[path.length] = 0;
  return true;
}

/** By raw system calls. */
export const SMALL_FILES: SmallFiles = {
  size(path) {
    try {
      const { mode, size } = statPath(path);
      return (mode & S_IFMT) === S_IFREG ? size : undefined;
    } catch {
      return undefined;
    }
  },

  read(path, size) {
    const { path: room, buffer, batch } = reader ??= makeCalls("read", O_RDONLY_CLOEXEC);
    if (size > MOST || !setPath(room, path)) return undefined;
    batch.setArgument(TRANSFER, SIZE_ARGUMENT, BigInt(size + 1));
    batch.run();
    return batch.result(TRANSFER) === BigInt(size) ? buffer.slice(0, size) : undefined;
  },

  create(path, bytes) {
    const { path: room, buffer, batch } = writer ??= makeCalls("write", O_NEW);
    if (bytes.length > MOST || !setPath(room, path)) return false;
    buffer.set(bytes);
    batch.setArgument(TRANSFER, SIZE_ARGUMENT, BigInt(bytes.length));
    batch.run();
    if (isErrno(batch.result(OPEN))) return false;
    if (batch.result(TRANSFER) === BigInt(bytes.length)) return true;
    syscall(SYSCALLS.unlink, cString(path));
    return false;
  },
};
