/**
 * Which control groups threads are in: sets of one group for each hierarchy, numbered as CRIU's images have them. Pure.
 *
 * @module
 */
import { parseCgroup } from "../../core/linux/procfs/mod.ts";
import { isOutside, isWithin, ROOT_GROUP, topmost } from "../../core/linux/cgroup/group_path.ts";

/** The group of a thread in one hierarchy. */
export interface Member {
  /** The controllers with commas between them; empty for cgroup v2. */
  readonly hierarchy: string;
  /** From the root of the tool's namespace of control groups. */
  readonly path: string;
  /** The root of the thread's own namespace, which the path begins with; absent where that is the tool's. */
  readonly root?: string;
}

/** What `/proc/PID/cgroup` says, ordered by the names of the hierarchies as in CRIU's images. */
export function membersOf(text: string): Member[] {
  const members = parseCgroup(text).map(({ name, path }) => ({ hierarchy: name, path }));
  return members.sort((a, b) => a.hierarchy < b.hierarchy ? -1 : a.hierarchy > b.hierarchy ? 1 : 0);
}

/** A set by its number. */
export interface MemberSet {
  readonly id: number;
  readonly members: readonly Member[];
}

/** The sets of a tree. The first one is the tool's own. */
export class MemberSets {
  readonly #sets: MemberSet[] = [];
  readonly #byText = new Map<string, MemberSet>();
  readonly #byMembers = new Map<string, MemberSet>();
  readonly #complete: (members: readonly Member[]) => readonly Member[];

  /**
   * @param own what `/proc/self/cgroup` says
   * @param complete adds to the members of a set of the tree what that text does not tell
   */
  constructor(own: string, complete: (members: readonly Member[]) => readonly Member[]) {
    this.#complete = complete;
    this.#add(membersOf(own));
  }

  /** The tool's own. */
  get own(): MemberSet {
    return this.#sets[0] as MemberSet;
  }

  /** All of them, in the order of their numbers from 1 on. */
  get all(): readonly MemberSet[] {
    return this.#sets;
  }

  /** The set of a thread. @param text of its `cgroup` file */
  of(text: string): MemberSet {
    let set = this.#byText.get(text);
    if (set === undefined) this.#byText.set(text, set = this.#add(this.#complete(membersOf(text))));
    return set;
  }

  #add(members: readonly Member[]): MemberSet {
    const key = JSON.stringify(members);
    let set = this.#byMembers.get(key);
    if (set === undefined) {
      this.#byMembers.set(key, set = { id: this.#sets.length + 1, members });
      this.#sets.push(set);
    }
    return set;
  }
}

/** The group in a hierarchy, if there is that hierarchy. */
export function memberIn(
  members: readonly Member[],
  hierarchy: string,
): Member | undefined {
  return members.find((one) => one.hierarchy === hierarchy);
}

/**
 * The groups whose settings are saved with the tree: those that its threads are in, but for the roots of hierarchies,
 * what the tool is in as well, and what is outside of its namespace of control groups. Of some that are in each other the topmost.
 *
 * @param own the tool's set
 * @param roots groups from which on the user wants them, by hierarchy
 * @returns the groups by hierarchy; of a hierarchy without any an empty list
 */
export function savedGroups(
  sets: readonly MemberSet[],
  own: readonly Member[],
  roots: (hierarchy: string) => string | undefined,
): Map<string, string[]> {
  const groups = new Map<string, Set<string>>();
  for (const { members } of sets) {
    for (const { hierarchy, path } of members) {
      const found = groups.get(hierarchy) ?? new Set();
      groups.set(hierarchy, found);
      const isTools = memberIn(own, hierarchy)?.path === path;
      if (path === ROOT_GROUP || isTools || isOutside(path)) continue;
      const root = roots(hierarchy);
      found.add(root !== undefined && isWithin(root, path) ? root : path);
    }
  }
  return new Map([...groups].map(([hierarchy, found]) => [hierarchy, topmost(found)]));
}
