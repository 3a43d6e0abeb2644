/**
 * Whether the `/proc` that is mounted here tells the ids that system calls take.
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";

/** Whether `/proc` is of the pid namespace of this process: each `/proc` is of one, wherever it is mounted. */
export function isOwnProc(): boolean {
  try {
    return Deno.readLinkSync("/proc/self") === String(Deno.pid);
  } catch {
    // This process is not in that namespace, or nothing is mounted.
    return false;
  }
}

/** @throws {StasisError} `unsupported` where it is of another one */
export function requireOwnProc(): void {
  if (isOwnProc()) return;
  throw new StasisError(
    "unsupported",
    "/proc is of another pid namespace than this process: its ids are not those of this one",
    {
      hint:
        "where the program has a mount namespace of its own, mount one there: mount -t proc proc /proc; where not, " +
        "start it with one: unshare --pid --fork --mount-proc",
    },
  );
}
