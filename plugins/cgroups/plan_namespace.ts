/**
 * The calls that bring a tree back into a namespace of control groups of its own.
 *
 * The roots of a new one are the groups of whoever makes it (unshare(2)). So the seed goes there for a moment, makes
 * it, keeps a descriptor of it, and goes back; each task enters it by that.
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import type { TreePlanner } from "../../core/plugin.ts";
import type { Destination } from "./destinations.ts";
import type { Doors } from "./doors.ts";
import { ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import type { Member } from "./membership.ts";
import { CLONE_NEWCGROUP } from "./namespace.ts";

/**
 * Adds them to the seed's program.
 *
 * @param roots where it begins, by hierarchy
 * @param own where this tool is
 * @param find says where a group is, or will be; throws where it cannot be entered
 * @returns the service number by which tasks enter it
 */
export function planNamespace(
  tree: TreePlanner,
  doors: Doors,
  roots: ReadonlyMap<string, string>,
  own: readonly Member[],
  find: (hierarchy: string, path: string) => Destination,
): number {
  const { seed } = tree;
  const openOwn = () => {
    const flags = O.RDONLY | O.CLOEXEC;
    return seed.call("openat", AT_FDCWD, "/proc/self/ns/cgroup", flags, 0);
  };
  const before = openOwn();
  const back: Destination[] = [];
  for (const { hierarchy, path } of own) {
    const root = roots.get(hierarchy) ?? ROOT_GROUP;
    if (root === path) continue;
    doors.enterProcess(seed, find(hierarchy, root));
    back.push(find(hierarchy, path));
  }
  seed.call("unshare", CLONE_NEWCGROUP);
  const number = tree.service();
  tree.keep(openOwn(), number);
  // Who has opened a list of tasks in a namespace may move nobody into it or out of it (nsdelegate, cgroups(7)).
  seed.call("setns", before, CLONE_NEWCGROUP);
  seed.call("close", before);
  for (const one of back) doors.enterProcess(seed, one);
  return number;
}
