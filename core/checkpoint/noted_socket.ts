/**
 * Calls that the guardian makes with a duplicate of a descriptor of a task, and SO_PEEK_OFF of a task's socket, which is
 * put back whoever lives.
 *
 * @module
 */
import { SOL_SOCKET } from "../linux/net/socket_ffi.ts";
import { readNumber, setNumber, SO } from "../linux/net/socket_options.ts";
import { type ListedCall, type Noted, type Rescuer, Result } from "../remote/undo.ts";
import type { Descriptor } from "./task.ts";

/** A descriptor of a task, and a thread of that which lives. */
export type TaskDescriptor = Pick<Descriptor, "pid" | "liveTid" | "fd" | "carrier">;

/** Of pidfd_open(2): O_EXCL (`include/uapi/linux/pidfd.h`). */
const PIDFD_THREAD = 0o200n;
/** The duplicate, in the calls of {@link callsWithDuplicate}. */
const DUPLICATE: Result = new Result(1);

/** The calls that take a duplicate of a task's descriptor, do something with it and close it. */
export function callsWithDuplicate(
  { pid, liveTid, fd }: TaskDescriptor,
  calls: readonly ListedCall[],
): ListedCall[] {
  // Of a process whose first thread has ended another one has its descriptors.
  const flags = liveTid === pid ? 0n : PIDFD_THREAD;
  return [
    { name: "pidfd_open", args: [BigInt(liveTid), flags] },
    { name: "pidfd_getfd", args: [new Result(0), BigInt(fd), 0n] },
    ...calls,
    { name: "close", args: [DUPLICATE] },
    { name: "close", args: [new Result(0)] },
  ];
}

/** The call that sets an option of {@link DUPLICATE} to a number. */
export function settingCall(level: number, name: number, value: number): ListedCall {
  const bytes = new Uint8Array(Int32Array.of(value).buffer);
  return { name: "setsockopt", args: [DUPLICATE, BigInt(level), BigInt(name), bytes, 4n] };
}

/** Notes a call with {@link DUPLICATE} of one descriptor, for the case that this process dies. */
export type NoteCall = (call: ListedCall) => Noted;

/** Notes calls with a duplicate of a descriptor. */
export function noteWith(
  rescuer: Pick<Rescuer, "noteOutside">,
  descriptor: TaskDescriptor,
): NoteCall {
  return (call) =>
    rescuer.noteOutside({
      pid: descriptor.carrier,
      calls: callsWithDuplicate(descriptor, [call]),
    });
}

/**
 * SO_PEEK_OFF of a socket that stands still: where a look (MSG_PEEK) begins. Any look moves it, and it is put back with
 * the scope.
 */
export class PeekOffset implements Disposable {
  readonly #fd: number;
  readonly #before: number;
  readonly #noted: Noted;

  /** @param fd a duplicate of the descriptor that `note` knows */
  constructor(fd: number, note: NoteCall) {
    this.#fd = fd;
    this.#before = readNumber(fd, SO.PEEK_OFF) ?? -1;
    this.#noted = note(settingCall(SOL_SOCKET, SO.PEEK_OFF, this.#before));
  }

  /** Has the next look begin behind so many bytes; -1: at the first message, wherever that begins. */
  set(offset: number): void {
    setNumber(this.#fd, SO.PEEK_OFF, offset);
  }

  [Symbol.dispose](): void {
    this.set(this.#before);
    this.#noted.erase();
  }
}
