/**
 * `check()` of `mod.ts`, by itself: the command of that name needs little of the library besides.
 *
 * @module
 */
import { checkMachine, type CheckReport as MachineReport } from "./core/check.ts";
import type { Plugin } from "./core/plugin.ts";
import { DEFAULT_CHECKS } from "./plugins/checks.ts";
import { chooseBackend } from "./plugins/sud/choose_backend.ts";

/** What {@link check} tells. */
export interface CheckReport extends MachineReport {
  /** The back end of Syscall User Dispatch on this kernel. */
  readonly sudBackend: "ptrace" | "series" | "none";
}

/** Tells what this kernel and this user can do, feature by feature. */
export function check(
  settings: {
    /** Plugins beside the default ones. */
    readonly plugins?: readonly Plugin[];
  } = {},
): CheckReport {
  const checks = [...DEFAULT_CHECKS, ...settings.plugins ?? []];
  return { ...checkMachine(checks), sudBackend: chooseBackend().name };
}
