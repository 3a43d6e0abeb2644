/**
 * SECCOMP_FILTER_FLAG_SPEC_ALLOW: what a filter's installation does to speculation. The kernel does not
 * tell the flag, but its effect can be seen where it has one: where store bypass is mitigated for
 * all threads with a filter (`spec_store_bypass_disable=seccomp`), a thread that is not was allowed it.
 *
 * Elsewhere the flag is left out: that is the stricter way, and without effect on such a machine. The controls
 * themselves (prctl(PR_SET_SPECULATION_CTRL)) are the task plugin's.
 *
 * @module
 */

/**
 * Whether the filters of a thread were installed with SPEC_ALLOW, as far as that shows.
 *
 * @param thread `Speculation_Store_Bypass` of the thread's status
 * @param machine /sys/devices/system/cpu/vulnerabilities/spec_store_bypass
 */
export function allowsSpeculation(thread: string | undefined, machine: string): boolean {
  return /\bseccomp\b/.test(machine) && thread === "thread vulnerable";
}

/** {@link allowsSpeculation} of a thread that exists. */
export function isAllowedSpeculation(pid: number, tid: number): boolean {
  let machine: string;
  try {
    machine = Deno.readTextFileSync("/sys/devices/system/cpu/vulnerabilities/spec_store_bypass");
  } catch {
    // A kernel that knows of no such thing, or no /sys: there is nothing to see.
    return false;
  }
  if (!/\bseccomp\b/.test(machine)) return false;
  const status = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/status`);
  return allowsSpeculation(/^Speculation_Store_Bypass:\s*(.*)$/m.exec(status)?.[1], machine);
}
