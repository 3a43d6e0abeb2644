/**
 * Who outside of the tree has an end of a pseudoterminal.
 *
 * @module
 */
import type { OutsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { readFdInfo, readFdLink, readFds, unlessGone } from "../../core/linux/procfs/mod.ts";

/** The names under which masters are opened. */
const MASTERS = ["/dev/ptmx", "/dev/pts/ptmx"];

/** What to have the holders looked for of: masters, and the slaves of these. */
export function* namesOf(indices: Iterable<number>): Generator<string> {
  yield* MASTERS;
  for (const index of indices) yield slavePath(index);
}

/** The name of a slave. */
export function slavePath(index: number): string {
  return `/dev/pts/${index}`;
}

/** A process outside that has the slave of a pty open. */
export function slaveHolder(holders: OutsideHolders, index: number): number | undefined {
  return holders.behind(slavePath(index))[0];
}

/** A process outside that has the master of a pty open. */
export function masterHolder(holders: OutsideHolders, index: number): number | undefined {
  const pids = MASTERS.flatMap((name) => holders.behind(name));
  return pids.find((pid) => unlessGone(() => hasMaster(pid, index), false));
}

function hasMaster(pid: number, index: number): boolean {
  return readFds(pid).some((fd) =>
    MASTERS.includes(readFdLink(pid, fd)?.text ?? "") && readFdInfo(pid, fd)?.ttyIndex === index
  );
}
