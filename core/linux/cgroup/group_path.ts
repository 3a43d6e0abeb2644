/**
 * Paths of control groups, as `/proc` tells them: from the root of the reader's namespace of control groups, with as
 * many `..` in front as lead out of it. Pure.
 *
 * @module
 */

/** The root of a hierarchy is in no group, as it were. */
export const ROOT_GROUP = "/";

interface Parts {
  /** How many `..` it begins with. */
  readonly ups: number;
  readonly names: readonly string[];
}

function partsOf(path: string): Parts {
  const all = path.split("/").filter(Boolean);
  const names = all.slice(all.findLastIndex((part) => part === "..") + 1);
  return { ups: all.length - names.length, names };
}

/**
 * The way from one group to another that is below it.
 *
 * @returns empty, or names with a slash before each; undefined where the group is not below, or nothing tells whether
 *   it is: what lies between a group outside of the namespace and the namespace's root has no names here
 */
export function wayFrom(root: string, path: string): string | undefined {
  const from = partsOf(root), to = partsOf(path);
  if (from.ups !== to.ups || from.names.length > to.names.length) return undefined;
  if (from.names.some((name, index) => name !== to.names[index])) return undefined;
  return to.names.slice(from.names.length).map((name) => `/${name}`).join("");
}

/** Whether a group is outside of the reader's namespace. */
export function isOutside(path: string): boolean {
  return partsOf(path).ups > 0;
}

/** Whether a group is another one, or in it, or in one that is. */
export function isWithin(root: string, path: string): boolean {
  return wayFrom(root, path) !== undefined;
}

/** A group that is in another one. @param way as of {@link wayFrom}, or a name with a slash in front */
export function joinWay(root: string, way: string): string {
  return way === "" ? root : root === "/" ? way : root + way;
}

/** The topmost of some groups: those that are in no other of them. */
export function topmost(paths: Iterable<string>): string[] {
  const all = [...new Set(paths)];
  return all.filter((path) => !all.some((other) => other !== path && isWithin(other, path)));
}

/**
 * Whether a text can be the path of a group within a namespace: names between slashes, none of which leads elsewhere.
 * Names have at most 255 bytes, and no newline (`cgroup_mkdir()` of `kernel/cgroup/cgroup.c`).
 */
export function isGroupPath(path: string): boolean {
  if (path === "/") return true;
  return path.startsWith("/") && path.slice(1).split("/").every(isGroupName);
}

/** Whether a text can be the name of a group. */
export function isGroupName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\n\0]/.test(name);
}

/** A group, for people: `/jobs/7`, `/jobs/7 (memory)`. @param hierarchy its controllers; empty for cgroup v2 */
export function describeGroup(hierarchy: string, path: string): string {
  return hierarchy === "" ? path : `${path} (${hierarchy})`;
}
