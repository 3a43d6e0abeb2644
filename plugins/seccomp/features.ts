/**
 * What this kernel and this user can do about seccomp.
 *
 * @module
 */
import { readStatus } from "../../core/linux/procfs/mod.ts";
import type { Feature } from "../../core/plugin.ts";
import { ownInability } from "./ability.ts";

/** The lines of `stasis check`. */
export function seccompFeatures(): readonly Feature[] {
  const own = readStatus(Deno.pid);
  const inability = ownInability();
  return [
    {
      name: "seccomp filters",
      available: own.seccomp !== undefined,
      required: false,
      note: "strict mode and filters of targets are saved where the kernel has them",
    },
    {
      name: "PTRACE_O_SUSPEND_SECCOMP and PTRACE_SECCOMP_GET_FILTER",
      available: inability === undefined,
      required: false,
      note: inability === undefined
        ? "targets under seccomp"
        : `targets under seccomp cannot be saved: ${inability.why}`,
    },
  ];
}
