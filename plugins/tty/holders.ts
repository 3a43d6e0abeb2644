/**
 * Who outside of the tree has an end of a pseudoterminal.
 *
 * @module
 */
import { openBy, type OutsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { readFdInfo, readFdLink, unlessGone } from "../../core/linux/procfs/mod.ts";
import { slavePath } from "./slave_path.ts";

/** The names under which masters are opened. */
const MASTERS = ["/dev/ptmx", "/dev/pts/ptmx"];

/** What to have the holders looked for of: masters, and the slaves of these. */
export function* namesOf(indices: Iterable<number>): Generator<string> {
  yield* MASTERS;
  for (const index of indices) yield slavePath(index);
}

/** A process outside that has the slave of a pty open. */
export function slaveHolder(holders: OutsideHolders, index: number): number | undefined {
  return holders.behind(slavePath(index))[0];
}

/** By the index of a pty, a process outside that has its master open. */
export function outsideMasters(holders: OutsideHolders): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const pid of new Set(MASTERS.flatMap((name) => holders.behind(name)))) {
    for (const index of unlessGone(() => mastersOf(pid), [])) found.set(index, pid);
  }
  return found;
}

/** The indices of the masters that a process has. */
function mastersOf(pid: number): number[] {
  // Its first thread may have ended.
  const { tid, fds } = openBy(pid);
  return fds.filter((fd) => MASTERS.includes(readFdLink(tid, fd)?.text ?? ""))
    .flatMap((fd) => readFdInfo(tid, fd)?.ttyIndex ?? []);
}
