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
  readStatus,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import type { Candidate } from "./choose.ts";

/** All of this pid namespace, by id, without this tool. */
export function readCandidates(): Candidate[] {
  const callers = new Set<number>();
  for (let pid = Deno.pid; pid !== 0; pid = unlessGone(() => readStat(pid).ppid, 0)) {
    callers.add(pid);
  }
  return readProcesses().flatMap((pid) =>
    unlessGone(() => {
      const { comm, flags } = readStat(pid);
      if (pid === Deno.pid) return [];
      const isKernel = (flags & PF_KTHREAD) !== 0;
      const command = isKernel ? "" : readCmdline(pid).join(" ");
      return [{ pid, comm, command, isCaller: callers.has(pid), isKernel }];
    }, [])
  );
}

/** Which process a thread is of; undefined where there is no such thread. */
export function processOf(tid: number): number | undefined {
  return unlessGone(() => readStatus(tid).tgid, undefined);
}
