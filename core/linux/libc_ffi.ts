/**
 * The only door to libc. Results follow the kernel's own convention: what a call returns, or the negative
 * errno; nothing throws here. Every call is synchronous and so comes from the one OS thread that runs
 * this isolate, which is what ptrace(2) insists on.
 *
 * @module
 */

import { encodeBytes } from "../../base/byte_text.ts";
import { areThreadsScarce, takeThread } from "./blocking_threads.ts";
import { Errno } from "./errno.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/**
 * Each function costs 0.1 ms at the start of every command, for which Deno compiles the way to it. So there are three:
 * `syscall` as it is, and with memory, which is handed over ten times as quick as its address is found out, as second
 * or as fourth argument of the call. Of the others only the addresses are asked for.
 */
const libc = Deno.dlopen("libc.so.6", {
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], result: "i64" },
  syscallBuffer2: {
    name: "syscall",
    parameters: ["i64", "i64", "buffer", "i64", "i64"],
    result: "i64",
  },
  syscallBuffer4: {
    name: "syscall",
    parameters: ["i64", "i64", "i64", "i64", "buffer"],
    result: "i64",
  },
  pollInBackground: {
    name: "poll",
    parameters: ["buffer", "u64", "i32"],
    result: "i32",
    nonblocking: true,
  },
  __errno_location: { type: "pointer" },
  memcmp: { type: "pointer" },
  posix_spawn: { type: "pointer" },
  malloc_trim: { type: "pointer" },
});

/** A function that is called once or twice. */
function functionAt<const Definition extends Deno.ForeignFunction>(
  pointer: Deno.PointerValue,
  definition: Definition,
): Deno.UnsafeFnPointer<Definition> {
  return new Deno.UnsafeFnPointer(pointer as Deno.PointerObject<Definition>, definition);
}

const PTRACE = BigInt(SYSCALLS.ptrace), WAIT4 = BigInt(SYSCALLS.wait4);
const PREAD64 = BigInt(SYSCALLS.pread64), PWRITE64 = BigInt(SYSCALLS.pwrite64);
const NO_USAGE = 0n;

let errnoView: Deno.UnsafePointerView | undefined;

/**
 * errno of the call just made. Any Deno operation in between may destroy it, so only {@link outcome} reads it.
 * The location belongs to the thread, and the isolate never leaves its thread.
 */
function errno(): number {
  if (errnoView === undefined) {
    const location = functionAt(libc.symbols.__errno_location, {
      parameters: [],
      result: "pointer",
    }).call();
    if (location === null) throw new Error("__errno_location() gave NULL");
    errnoView = new Deno.UnsafePointerView(location);
  }
  return errnoView.getInt32();
}
// The first look-up costs Deno operations; make it while no errno is awaited.
errno();

/**
 * What came of a call: its result, or the negative errno.
 *
 * Between the call and the look at errno the garbage collector of this very thread may run (the result itself is
 * a new object), and its futexes leave EAGAIN behind: in 6 of 80 million failures of a loop, and so that about
 * one in a thousand checkpoints of programs with filters failed. A call that failed has done nothing, so where
 * that may have happened it is made once more; if EAGAIN was its own answer, that is what it says again.
 *
 * @param call makes the call, and gives -1 where it failed
 */
export function outcome(call: () => bigint | number): bigint {
  for (let first = true;; first = false) {
    const result = call();
    if (result !== -1n && result !== -1) return BigInt(result);
    const error = errno();
    if (error !== Errno.EAGAIN || !first) return -BigInt(error);
  }
}

/** An argument of a raw system call: an integer, or memory that the kernel reads or writes. */
export type SyscallArgument = bigint | number | Uint8Array | BigUint64Array | null;

function argument(value: SyscallArgument | undefined): bigint {
  if (typeof value === "bigint") return BigInt.asIntN(64, value);
  if (typeof value === "number") return BigInt(value);
  if (value === null || value === undefined) return 0n;
  return BigInt.asIntN(64, addressOf(value));
}

/**
 * Where a buffer of this process lies. It stays there for as long as the buffer is referenced (V8 does
 * not move backing stores), so keep it alive over the call.
 */
export function addressOf(buffer: Uint8Array | BigUint64Array): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer as Uint8Array<ArrayBuffer>));
}

/**
 * A raw system call of this process.
 *
 * @param number its number, see `x86_64/syscalls.ts`
 * @returns its result, or the negative errno
 */
export function syscall(number: number, ...args: SyscallArgument[]): bigint {
  return outcome(() =>
    libc.symbols.syscall(
      BigInt(number),
      argument(args[0]),
      argument(args[1]),
      argument(args[2]),
      argument(args[3]),
      argument(args[4]),
      argument(args[5]),
    )
  );
}

/** ptrace(2) with integers. @returns 0 or more, or the negative errno */
export function ptrace(request: bigint, tid: bigint, address: bigint, data: bigint): bigint {
  return syscall(SYSCALLS.ptrace, request, tid, address, data);
}

/** ptrace(2) whose data is memory here. @returns 0 or more, or the negative errno */
export function ptraceData(
  request: bigint,
  tid: bigint,
  address: bigint,
  data: Uint8Array | BigUint64Array,
): bigint {
  return outcome(() =>
    libc.symbols.syscallBuffer4(PTRACE, request, tid, address, data as Uint8Array<ArrayBuffer>)
  );
}

/** ptrace(2) whose address and data are memory here. @returns 0 or more, or the negative errno */
export function ptraceBoth(
  request: bigint,
  tid: bigint,
  address: Uint8Array,
  data: Uint8Array,
): bigint {
  return syscall(SYSCALLS.ptrace, request, tid, address, data);
}

const MEMCMP = { parameters: ["u64", "u64", "usize"], result: "i32" } as const;

let memcmp: Deno.UnsafeFnPointer<typeof MEMCMP> | undefined;

/**
 * Whether memory of this process is the same at two places: in JavaScript that takes three times as long, and thirty
 * times before V8 has compiled it.
 */
export function isSameMemory(one: bigint, other: bigint, size: number): boolean {
  memcmp ??= functionAt(libc.symbols.memcmp, MEMCMP);
  return memcmp.call(one, other, BigInt(size)) === 0;
}

/** Gives what is free of libc's heap back to the kernel: malloc_trim(3). */
export function trimHeap(): void {
  functionAt(libc.symbols.malloc_trim, { parameters: ["usize"], result: "i32" }).call(0n);
}

/** prctl(2) of this process. @returns 0 or more, or the negative errno */
export function prctl(option: number, a = 0n, b = 0n, c = 0n, d = 0n): number {
  return Number(syscall(SYSCALLS.prctl, option, a, b, c, d));
}

const statusWord = new Int32Array(1);
const statusBytes = new Uint8Array(statusWord.buffer);

/**
 * wait4(2) for one pid or tid; blocks unless the options say WNOHANG.
 *
 * @returns the pid and its raw status word; pid 0 if WNOHANG found nothing; a negative errno as pid
 */
export function wait4(pid: number, options: number): { pid: number; status: number } {
  const result = Number(
    outcome(() =>
      libc.symbols.syscallBuffer2(WAIT4, BigInt(pid), statusBytes, BigInt(options), NO_USAGE)
    ),
  );
  return { pid: result, status: result < 0 ? 0 : statusWord[0] as number };
}

/**
 * poll(2) of one descriptor for POLLIN and for as long as it takes, without holding up this thread: another
 * one waits. The descriptor must stay open until then.
 *
 * @returns whether there is something to read; false on any failure (errno belongs to the other thread)
 */
export async function pollInBackground(fd: number): Promise<boolean> {
  // struct pollfd: int fd; short events, revents.
  const POLLIN = 1;
  const pollfd = new Int32Array([fd, POLLIN]);
  const poll = libc.symbols.pollInBackground(new Uint8Array(pollfd.buffer), 1n, -1);
  return await takeThread(poll) === 1;
}

/**
 * Lets some time pass on another thread, and so everything else of this process have its turn: timers, signals,
 * promises. That is what a timer does too; but Deno loads its timers when the first is set, which takes as long as
 * a small process stands still for. A timer it is where the other threads are taken: a target that stands still must
 * not wait for them.
 *
 * @param ms milliseconds, at least 1: of less the event loop makes nothing, and looks at no signal
 */
export async function sleep(ms: number): Promise<void> {
  if (areThreadsScarce()) return await new Promise((resolve) => setTimeout(resolve, ms));
  await libc.symbols.pollInBackground(null, 0n, ms);
}

/** Makes a call once more where a signal ended it before it had begun: some file systems let that happen. */
function uninterrupted(call: () => bigint | number): number {
  for (;;) {
    const result = outcome(call);
    if (result !== -BigInt(Errno.EINTR)) return Number(result);
  }
}

/** pread(2) of one buffer. @returns the number of bytes, or the negative errno */
export function pread(fd: number, buffer: Uint8Array, offset: bigint): number {
  const size = BigInt(buffer.byteLength);
  const at = BigInt.asIntN(64, offset);
  return uninterrupted(() =>
    libc.symbols.syscallBuffer2(PREAD64, BigInt(fd), buffer as Uint8Array<ArrayBuffer>, size, at)
  );
}

/** pwrite(2) of one buffer. @returns the number of bytes, or the negative errno */
export function pwrite(fd: number, buffer: Uint8Array, offset: bigint): number {
  const size = BigInt(buffer.byteLength);
  const at = BigInt.asIntN(64, offset);
  return uninterrupted(() =>
    libc.symbols.syscallBuffer2(PWRITE64, BigInt(fd), buffer as Uint8Array<ArrayBuffer>, size, at)
  );
}

/** ioctl(2) with a buffer. @returns its result, or the negative errno */
export function ioctl(fd: number, request: number, buffer: Uint8Array): number {
  return Number(syscall(SYSCALLS.ioctl, fd, request, buffer));
}

/** A NUL-terminated C string; of a path whose bytes are no UTF-8 too (`base/byte_text.ts`). */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encodeBytes(text + "\0");
}

/**
 * A NULL-terminated array of pointers to C strings, as one buffer that holds the strings behind it, so
 * that whoever holds the buffer holds all of it.
 */
function stringArray(strings: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoded = strings.map(cString);
  const head = (strings.length + 1) * 8;
  const bytes = new Uint8Array(encoded.reduce((sum, one) => sum + one.length, head));
  const view = new DataView(bytes.buffer);
  const base = addressOf(bytes);
  let at = head;
  encoded.forEach((one, index) => {
    view.setBigUint64(index * 8, base + BigInt(at), true);
    bytes.set(one, at);
    at += one.length;
  });
  return bytes;
}

const SPAWN = {
  parameters: ["buffer", "buffer", "pointer", "buffer", "buffer", "buffer"],
  result: "i32",
} as const;
const pidWord = new Int32Array(1);
const pidBytes = new Uint8Array(pidWord.buffer);

/**
 * posix_spawn(3): a child that runs `path`. Deno's own spawn reaps its children behind a tracer's back,
 * and fork(2) alone kills the child (V8's pages are MADV_DONTFORK).
 *
 * @param attributes a filled posix_spawnattr_t of glibc
 * @returns the pid, or the negative errno
 */
export function posixSpawn(
  path: string,
  args: readonly string[],
  environment: readonly string[],
  attributes: Uint8Array,
): number {
  const error = functionAt(libc.symbols.posix_spawn, SPAWN).call(
    pidBytes,
    cString(path),
    null,
    attributes as Uint8Array<ArrayBuffer>,
    stringArray(args),
    stringArray(environment),
  );
  return error !== 0 ? -error : pidWord[0] as number;
}

/**
 * execve(2): another program takes the place of this one, with its id, descriptors (but those that are close-on-exec)
 * and working directory. Comes back only where it fails.
 *
 * @returns the negative errno
 */
export function execute(
  path: string,
  args: readonly string[],
  environment: readonly string[],
): number {
  const vectors = [cString(path), stringArray(args), stringArray(environment)];
  return Number(syscall(SYSCALLS.execve, ...vectors));
}
