/**
 * The processes of this machine.
 *
 * @module
 */
import {
  PF_KTHREAD,
  readCmdline,
  readProcesses,
  readStat,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import type { Candidate } from "./choose.ts";

/** All of this pid namespace, by id, without the kernel's own and this tool. */
export function readCandidates(): Candidate[] {
  const callers = new Set<number>();
  for (let pid = Deno.pid; pid !== 0; pid = unlessGone(() => readStat(pid).ppid, 0)) {
    callers.add(pid);
  }
  return readProcesses().flatMap((pid) =>
    unlessGone(() => {
      const { comm, flags } = readStat(pid);
      if (pid === Deno.pid || (flags & PF_KTHREAD) !== 0) return [];
      return [{ pid, comm, command: readCmdline(pid).join(" "), isCaller: callers.has(pid) }];
    }, [])
  );
}
