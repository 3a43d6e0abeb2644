/**
 * Looking where in the kernel a stopped thread was waiting before it was stopped.
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import { cString, pread, syscall } from "../linux/libc_ffi.ts";
import {
  getRegisters,
  getSignalMask,
  interrupt,
  peekSiginfo,
  resume,
  resumeToSyscall,
  type Stop,
} from "../linux/ptrace.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { isInterrupted } from "./interrupted_call.ts";
import { pause } from "../linux/pause.ts";
import { awaitStop, nextStop } from "./reap.ts";
import type { Tracee } from "./tracee.ts";

/** How long {@link blockedIn} waits for a thread to wait, in milliseconds. */
const WAIT_LIMIT = 20;
/** How often it looks before it makes room for others. */
const SPINS = 20;
const AT_FDCWD = -100, O_CLOEXEC = 0o2000000;
/** KSYM_NAME_LEN of `include/linux/kallsyms.h`. */
const LONGEST_NAME = 512;

/**
 * Lets a thread go back into the call that it was interrupted in, for long enough to see in which function
 * of the kernel it waits there, and stops it again. Only for a thread in which nothing has been injected
 * yet.
 *
 * @param recognise makes something of a function's name; undefined for one that it passes by
 * @returns what it made of it; undefined if the thread did not come to wait in any that is known
 */
export function blockedIn<T>(
  tracee: Tracee,
  recognise: (place: string) => T | undefined,
): T | undefined {
  using reentry = new Reentry(tracee);
  return reentry.enter(recognise);
}

/**
 * A thread that is let go back into its call, until this is disposed of: then it stands still again.
 *
 * With the call's entry and exit as stops, and none of them left but towards the next stop, the thread never gets to
 * run code of its own: it could make threads and children that nobody stops.
 */
export class Reentry implements Disposable {
  readonly #tracee: Tracee;
  #state: "still" | "under way" | "asked to stop" | "stopped" = "still";

  /** @param tracee a thread in which nothing has been injected yet */
  constructor(tracee: Tracee) {
    this.#tracee = tracee;
  }

  /**
   * Lets it go, until it waits where that is known, or has stopped by itself. One that was not interrupted in a call
   * stands still.
   *
   * @param recognise as for {@link blockedIn}
   */
  enter<T>(recognise: (place: string) => T | undefined): T | undefined {
    const { pid, tid } = this.#tracee;
    // One that is in no call, as its wait is over, would run code of its own up to its next one, and make that.
    if (!isInterrupted(getRegisters(tid))) return undefined;
    const deadline = performance.now() + WAIT_LIMIT;
    let spins = 0;
    let inside = false;
    using place = openWchan(pid, tid);
    resumeToSyscall(tid);
    this.#state = "under way";
    for (;;) {
      const stop = nextStop(tid, pid);
      if (stop.kind === "none") {
        const name = place?.read();
        const found = name === undefined ? undefined : recognise(name);
        if (found !== undefined || performance.now() > deadline) return found;
        // It takes microseconds as a rule; one that takes longer may wait for this very processor.
        if (++spins > SPINS) pause(0.05);
      } else if (stop.kind === "syscall" && !inside) {
        inside = true;
        resumeToSyscall(tid);
      } else {
        this.#goOn(stop);
        return undefined;
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#state === "still") return;
    const { pid, tid } = this.#tracee;
    if (this.#state === "under way") interrupt(tid);
    while (this.#state !== "stopped") this.#goOn(awaitStop(tid, pid, undefined, true));
    this.#state = "still";
    this.#tracee.registers = getRegisters(tid);
    this.#tracee.signalMask = getSignalMask(tid);
    this.#tracee.pending = peekSiginfo(tid, false);
  }

  /** Has it go on to where it stands still for good, if it does not, and is not gone. */
  #goOn(stop: Stop): void {
    if (["event-stop", "absent", "exited", "killed"].includes(stop.kind)) {
      this.#state = "stopped";
      return;
    }
    // Any stop takes back what was asked for before it (ptrace_stop() of kernel/signal.c).
    interrupt(this.#tracee.tid);
    this.#state = "asked to stop";
    resume(this.#tracee.tid, stop.kind === "signal" ? stop.signal : 0);
  }
}

/** `/proc/PID/task/TID/wchan`, which is read again and again. */
interface Wchan extends Disposable {
  /** The kernel function that the thread sleeps in; undefined while it runs. */
  read(): string | undefined;
}

/** @returns undefined where this kernel has no such file, or the thread is gone */
function openWchan(pid: number, tid: number): Wchan | undefined {
  const path = cString(`/proc/${pid}/task/${tid}/wchan`);
  const fd = Number(syscall(SYSCALLS.openat, AT_FDCWD, path, O_CLOEXEC, 0));
  if (fd < 0) return undefined;
  const buffer = new Uint8Array(LONGEST_NAME);
  return {
    read() {
      const length = pread(fd, buffer, 0n);
      if (length <= 0) return undefined;
      const name = decodeBytes(buffer.subarray(0, length));
      return name === "0" ? undefined : name;
    },
    [Symbol.dispose]: () => void syscall(SYSCALLS.close, fd),
  };
}
