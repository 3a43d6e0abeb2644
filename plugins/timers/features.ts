/**
 * What this kernel can do about timers.
 *
 * @module
 */
import { prctl } from "../../core/linux/libc_ffi.ts";
import type { Feature } from "../../core/plugin.ts";
import { PR_TIMER_CREATE_RESTORE_IDS, RESTORE_IDS } from "./restore_ids.ts";

/** The lines of `stasis check`. */
export function timerFeatures(): readonly Feature[] {
  return [restoreIds()];
}

/** Whether timer_create(2) can be told an id. */
export function restoreIds(): Feature {
  return {
    name: "PR_TIMER_CREATE_RESTORE_IDS",
    available: prctl(PR_TIMER_CREATE_RESTORE_IDS, BigInt(RESTORE_IDS.GET)) >= 0,
    required: false,
    note: "without it (before Linux 6.16) POSIX timers with high ids cannot be restored",
  };
}
