/**
 * Looking where in the kernel a stopped thread was waiting before it was stopped.
 *
 * @module
 */
import {
  getRegisters,
  getSignalMask,
  interrupt,
  peekSiginfo,
  resume,
  resumeToSyscall,
} from "../linux/ptrace.ts";
import { awaitStop, nextStop } from "./reap.ts";
import type { Tracee } from "./tracee.ts";

/** How long {@link blockedIn} waits for a thread to wait, in milliseconds. */
const WAIT_LIMIT = 20;

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
  const { pid, tid } = tracee;
  const deadline = performance.now() + WAIT_LIMIT;
  let found: T | undefined;
  let asked = false;
  let inside = false;
  // With the call's entry and exit as stops, and none of them left but towards the next stop, the
  // thread never gets to run code of its own: it could make threads and children that nobody stops.
  const stopSoon = (): void => {
    interrupt(tid);
    asked = true;
  };
  resumeToSyscall(tid);
  for (;;) {
    const stop = asked ? awaitStop(tid, pid) : nextStop(tid, pid);
    if (stop.kind === "none") {
      const place = waitingIn(pid, tid);
      if (place !== undefined) found = recognise(place);
      if (found !== undefined || performance.now() > deadline) stopSoon();
      continue;
    }
    if (stop.kind === "event-stop" || stop.kind === "absent") break;
    if (stop.kind === "exited" || stop.kind === "killed") break;
    if (stop.kind === "syscall" && !inside && !asked) {
      inside = true;
      resumeToSyscall(tid);
      continue;
    }
    // Any stop takes back what was asked for before it (ptrace_stop() of kernel/signal.c).
    stopSoon();
    resume(tid, stop.kind === "signal" ? stop.signal : 0);
  }
  tracee.registers = getRegisters(tid);
  tracee.signalMask = getSignalMask(tid);
  tracee.pending = peekSiginfo(tid, false);
  return found;
}

/** The kernel function that a thread sleeps in (`/proc/PID/task/TID/wchan`); undefined while it runs. */
function waitingIn(pid: number, tid: number): string | undefined {
  try {
    const place = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/wchan`);
    return place === "" || place === "0" ? undefined : place;
  } catch {
    return undefined;
  }
}
