/**
 * The calls that bring a tree back into a namespace of control groups of its own.
 *
 * The roots of a new one are the groups of whoever makes it (unshare(2)). So the seed goes there for a moment, makes
 * it, keeps a descriptor of it, and goes back; each task enters it by that.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import type { TreePlanner } from "../../core/plugin.ts";
import type { Destination } from "./destinations.ts";
import type { Doors } from "./doors.ts";
import type { GroupFinder } from "./group_files.ts";
import { type Member, memberIn, ROOT_GROUP } from "./membership.ts";
import { CLONE_NEWCGROUP } from "./namespace.ts";

/**
 * Adds them to the seed's program.
 *
 * @param members where a task of the tree was, with the roots of its namespace
 * @param own where this tool is
 * @returns the service number by which tasks enter it; undefined where it is the tool's own
 */
export function planNamespace(
  tree: TreePlanner,
  doors: Doors,
  finder: GroupFinder,
  members: readonly Member[],
  own: readonly Member[],
): number | undefined {
  if (members.every(({ root }) => root === undefined)) return undefined;
  const { seed } = tree;
  const openOwn = () => {
    const flags = O.RDONLY | O.CLOEXEC;
    return seed.call("openat", AT_FDCWD, "/proc/self/ns/cgroup", flags, 0);
  };
  const before = openOwn();
  const back: Destination[] = [];
  for (const { hierarchy, path } of own) {
    const root = memberIn(members, hierarchy)?.root ?? ROOT_GROUP;
    if (root === path) continue;
    doors.enterProcess(seed, placeOf(finder, hierarchy, root));
    back.push(placeOf(finder, hierarchy, path));
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

function placeOf(finder: GroupFinder, hierarchy: string, path: string): Destination {
  const found = finder.find(hierarchy, path);
  if (found.kind === "here" || found.kind === "gone") {
    return { hierarchy, path, directory: found.directory };
  }
  throw new StasisError(
    "conflict",
    `the namespace of control groups of the tree cannot be made: the group ${path} of ${
      hierarchy === "" ? "cgroup v2" : hierarchy
    } cannot be entered from here`,
    { hint: "mount its hierarchy; --manage-cgroups=ignore leaves the tree in this tool's groups" },
  );
}
