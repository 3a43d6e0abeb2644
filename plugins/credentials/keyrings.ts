/**
 * Keyrings of a thread and of a process (keyrings(7)): they end with it, and keys made anew have other numbers. So
 * whoever has one is refused. (Those of sessions: `session_keyring.ts`.)
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { CollectedOfEach } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";

/** keyctl(2): the number of a keyring; with 0 behind it none is made. */
const KEYCTL_GET_KEYRING_ID = 0;
/** Special numbers of keyrings (`include/uapi/linux/keyctl.h`). */
const KEYRINGS = { THREAD: -1, PROCESS: -2 } as const;

/** Asks threads. @throws {StasisError} `unsupported`, by what is returned, where one has any */
export function askForKeyrings(program: SyscallProgram): CollectedOfEach {
  const asked = Object.values(KEYRINGS).map((keyring) =>
    program.try("keyctl", KEYCTL_GET_KEYRING_ID, keyring, 0)
  );
  return ({ tid, task }, reply) => {
    if (!asked.some((call) => reply.result(call) > 0n)) return;
    throw new StasisError(
      "unsupported",
      `thread ${tid} of task ${task.pid} has a keyring of its own or of its process, which cannot be saved`,
      { pid: task.pid, hint: "have it use the keyring of its user or session instead" },
    );
  };
}
