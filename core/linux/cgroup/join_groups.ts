/**
 * Putting a process into this one's control groups.
 *
 * @module
 */
import { readCgroup, readMountinfo } from "../procfs/mod.ts";
import { placesOf } from "./group_mounts.ts";

/**
 * Has a process be in the groups that this one is in, as far as that may be had: of those that cannot be written to, or
 * whose rules forbid it, it stays in its own.
 *
 * @throws {StasisError} `no-such-task`
 */
export function joinOwnGroups(pid: number): void {
  const mounts = readMountinfo(Deno.pid);
  const theirs = new Map(readCgroup(pid).map(({ name, path }) => [name, path]));
  for (const { name, path } of readCgroup(Deno.pid)) {
    const directory = placesOf(mounts, name, path)[0]?.directory;
    if (theirs.get(name) === path || directory === undefined) continue;
    try {
      Deno.writeTextFileSync(`${directory}/cgroup.procs`, String(pid), { create: false });
    } catch {
      // It counts for its maker's group then.
    }
  }
}
