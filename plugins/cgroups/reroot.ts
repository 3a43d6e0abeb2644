/**
 * Groups of the images below other groups of this machine (`--cgroup-root`). Pure.
 *
 * @module
 */
import type { CgroupRoot } from "../../core/plugin.ts";
import { rootFor } from "./cgroup_root.ts";
import { isWithin, joinWay, wayFrom } from "../../core/linux/cgroup/group_path.ts";
import type { SavedGroup, SavedGroups } from "./image.ts";
import type { Member } from "./membership.ts";

/**
 * Puts what the user names in place of the topmost groups of the images, or as CRIU does where these are in a
 * namespace of their own, in place of its root.
 */
export function reroot(
  saved: SavedGroups,
  roots: readonly CgroupRoot[] | undefined,
): SavedGroups {
  if (roots === undefined || roots.length === 0) return saved;
  const moves = new Map<string, (path: string) => string>();
  const hierarchies = saved.hierarchies.map((hierarchy) => {
    const { name, tops, groups } = hierarchy;
    const root = rootFor(roots, name);
    if (root === undefined) return hierarchy;
    const bases = tops.map((top) => baseOf(top, name, saved));
    const move = (path: string): string => {
      const base = bases.find((one) => isWithin(one, path));
      return base === undefined ? path : joinWay(root, wayFrom(base, path) as string);
    };
    moves.set(name, move);
    return { name, tops: tops.map(move), groups: groups.map((group) => moveGroup(group, move)) };
  });
  const sets = [...saved.sets].map(([id, members]) =>
    [id, members.map((member) => moveMember(member, moves.get(member.hierarchy)))] as const
  );
  return { sets: new Map(sets), hierarchies };
}

/** What a new root takes the place of. */
function baseOf(top: string, hierarchy: string, { sets }: SavedGroups): string {
  for (const members of sets.values()) {
    for (const member of members) {
      const { root } = member;
      if (member.hierarchy === hierarchy && root !== undefined && isWithin(root, top)) return root;
    }
  }
  return top;
}

function moveMember(member: Member, move: ((path: string) => string) | undefined): Member {
  if (move === undefined) return member;
  const { hierarchy, path, root } = member;
  return { hierarchy, path: move(path), ...root === undefined ? {} : { root: move(root) } };
}

function moveGroup(group: SavedGroup, move: (path: string) => string): SavedGroup {
  return {
    ...group,
    path: move(group.path),
    children: group.children.map((child) => moveGroup(child, move)),
  };
}
