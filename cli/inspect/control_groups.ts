/**
 * Control groups of an image.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import { CGROUP } from "../../images/kinds/cgroups.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { present } from "../../images/present.ts";
import { describeGroup, ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import { decodeGroups } from "../../plugins/cgroups/image.ts";
import type { Member } from "../../plugins/cgroups/membership.ts";

/**
 * What tells the groups that threads were in, each once: `/jobs/7 (memory)`. The roots of hierarchies are left out.
 *
 * @throws {StasisError} `bad-image`
 */
export function inspectGroups(
  images: ImageDirectory,
): (threads: readonly core_entry[]) => string[] | undefined {
  const sets: ReadonlyMap<number, readonly Member[]> = images.has(CGROUP, null)
    ? decodeGroups(images.read(CGROUP, null), images.pathOf(CGROUP, null)).sets
    : new Map();
  return (threads) => {
    const ids = threads.map(({ threadCore, tc }) => present(threadCore, "cgSet") ?? tc?.cgSet ?? 0);
    const members = [...new Set(ids)].flatMap((id) => sets.get(id) ?? []);
    const groups = members.filter(({ path }) => path !== ROOT_GROUP)
      .map(({ hierarchy, path }) => describeGroup(hierarchy, path));
    return groups.length === 0 ? undefined : [...new Set(groups)];
  };
}
