/**
 * Whether a job has come to its end, or was ended.
 *
 * @module
 */
import { ENDING_SIGNALS } from "../core/linux/signals.ts";
import type { Ending } from "../mod.ts";

/**
 * The status of a job that has come to its end.
 *
 * @returns undefined where it was killed, or exits as who catches a signal and then does what that asks (128 + N): the
 *   terminal sends Ctrl-C to the job alone, so nobody else knows of it
 */
export function ownEnd({ code }: Ending): number | undefined {
  return code === undefined || Object.values(ENDING_SIGNALS).some((signal) => code === 128 + signal)
    ? undefined
    : code;
}
