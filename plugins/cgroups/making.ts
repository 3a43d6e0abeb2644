/**
 * Which groups are made at a restore, and what settings they and others get. Pure.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import type { ManageCgroups } from "../../core/plugin.ts";
import type { FoundGroup } from "./group_files.ts";
import type { SavedGroup, SavedHierarchy, SavedSetting } from "./image.ts";
import { describeGroup, ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import { makesGroups } from "./placement.ts";
import { controllerOf, isInitial } from "./settings.ts";

type Finding = Omit<Problem, "plugin">;

/** A group to be made. */
export interface Making {
  readonly hierarchy: string;
  readonly path: string;
  readonly directory: string;
  /** What is saved of it; undefined where nothing is. */
  readonly saved: SavedGroup | undefined;
  /** Controllers of cgroup v2 that it is to hand on beside those that it handed on once. */
  readonly enable: ReadonlySet<string>;
}

/** A group that is there and gets its settings back. */
export interface Setting {
  readonly hierarchy: string;
  readonly path: string;
  readonly directory: string;
  readonly saved: SavedGroup;
}

/** What is to be done about groups before tasks get into them. */
export interface Makings {
  /** Parents before those that are in them. */
  readonly made: readonly Making[];
  readonly set: readonly Setting[];
  readonly problems: readonly Finding[];
}

/** What of this machine it depends on. */
export interface MakingFacts {
  readonly mode: ManageCgroups;
  /** That groups are there is no problem: the tree is in them still. */
  readonly rehearsal: boolean;
  find(hierarchy: string, path: string): FoundGroup;
  /** Whether a group has a file of this name. */
  has(directory: string, name: string): boolean;
  /** The controllers of cgroup v2 that a group hands on to those in it. */
  enabled(directory: string): readonly string[];
}

/**
 * Decides about all groups of the images.
 *
 * @param wanted groups that tasks are to get into and that are not there, by hierarchy
 */
export function planMakings(
  hierarchies: readonly SavedHierarchy[],
  wanted: ReadonlyMap<string, ReadonlySet<string>>,
  facts: MakingFacts,
): Makings {
  const { mode } = facts;
  const made = new Map<string, Making & { readonly enable: Set<string> }>();
  const set: Setting[] = [];
  const problems: Finding[] = [];
  /** The controllers that groups of cgroup v2 which are there hand on when they have their settings back, by path. */
  const handsOn = new Map<string, ReadonlySet<string>>();

  /** Has a group made with those that it is in, if they are not there. */
  const make = (hierarchy: string, path: string, saved: SavedGroup | undefined): void => {
    const key = `${hierarchy}:${path}`;
    const found = facts.find(hierarchy, path);
    if (path === ROOT_GROUP || made.has(key) || found.kind !== "gone") return;
    make(hierarchy, parentOf(path), undefined);
    made.set(key, {
      hierarchy,
      path,
      directory: found.directory,
      saved,
      enable: new Set(),
    });
  };
  const visit = (hierarchy: string, group: SavedGroup): void => {
    // The root, where `--cgroup-root=/` puts a group, is the machine's and not for an image to set.
    if (group.path !== ROOT_GROUP) prepare(hierarchy, group);
    for (const child of group.children) visit(hierarchy, child);
  };
  const prepare = (hierarchy: string, group: SavedGroup): void => {
    const found = facts.find(hierarchy, group.path);
    if (found.kind === "here") {
      if (mode === "strict" && !facts.rehearsal) {
        problems.push({
          what: `the control group ${describeGroup(hierarchy, group.path)} exists here`,
          hint: `remove it (rmdir ${found.directory}), or say --manage-cgroups=full`,
        });
      }
      if (mode === "props" || mode === "full") {
        const settings = settable(hierarchy, found.directory, group, handsOn, facts, problems);
        set.push({
          hierarchy,
          path: group.path,
          directory: found.directory,
          saved: { ...group, settings },
        });
        if (hierarchy === "") handsOn.set(group.path, new Set(handedOnBy(settings)));
      }
    } else if (makesGroups(mode)) make(hierarchy, group.path, group);
  };
  for (const { name, groups } of hierarchies) for (const group of groups) visit(name, group);
  for (const [hierarchy, paths] of wanted) {
    for (const path of paths) make(hierarchy, path, undefined);
  }
  for (const one of made.values()) {
    if (one.hierarchy === "") enableFor(one, made, facts, problems);
  }
  return { made: [...made.values()], set, problems };
}

/** Sees to it that a group can have its settings: the one that it is in must hand their controllers on. */
function enableFor(
  { path, saved }: Making,
  made: ReadonlyMap<string, Making & { readonly enable: Set<string> }>,
  facts: MakingFacts,
  problems: Finding[],
): void {
  const needed = new Set<string>();
  for (const { name, value } of saved?.settings ?? []) {
    const controller = controllerOf(name);
    if (controller !== undefined && !isInitial(name, value)) needed.add(controller);
  }
  for (const one of handedOnBy(saved?.settings ?? [])) needed.add(one);
  for (let below = path; needed.size > 0 && below !== ROOT_GROUP; below = parentOf(below)) {
    const parent = made.get(`:${parentOf(below)}`);
    if (parent !== undefined) {
      for (const one of needed) parent.enable.add(one);
      continue;
    }
    const found = facts.find("", parentOf(below));
    if (found.kind !== "here") return;
    const enabled = new Set(facts.enabled(found.directory));
    for (const one of needed) {
      if (enabled.has(one)) continue;
      problems.push(notHandedOn(path, one, parentOf(below), found.directory));
    }
    return;
  }
}

/**
 * Those of the settings of a group that is there which it has files for. A file of cgroup v2 can be one that comes with
 * its controller, when the group above has its own settings back.
 *
 * @param handsOn what these make groups hand on
 */
function settable(
  hierarchy: string,
  directory: string,
  { path, settings }: SavedGroup,
  handsOn: ReadonlyMap<string, ReadonlySet<string>>,
  facts: MakingFacts,
  problems: Finding[],
): SavedSetting[] {
  const above = facts.find(hierarchy, parentOf(path));
  const enabled = hierarchy === "" && above.kind === "here"
    ? facts.enabled(above.directory)
    : undefined;
  const toCome = (hierarchy === "" ? handsOn.get(parentOf(path)) : undefined) ?? new Set();
  const isLacking = (controller: string | undefined): controller is string =>
    controller !== undefined && enabled !== undefined && !enabled.includes(controller) &&
    !toCome.has(controller);
  const lacking = new Set(handedOnBy(settings).filter(isLacking));
  const there = settings.filter(({ name, value }) => {
    if (facts.has(directory, name)) return true;
    if (isInitial(name, value)) return false;
    const controller = controllerOf(name);
    if (isLacking(controller)) lacking.add(controller);
    else if (controller === undefined || enabled?.includes(controller) !== false) {
      problems.push({
        what: `the control group ${describeGroup(hierarchy, path)} has no ${name} here`,
        hint:
          "restore on a kernel that has it; --manage-cgroups=soft leaves groups that exist as they are",
      });
      return false;
    }
    return true;
  });
  if (above.kind === "here") {
    for (const one of lacking) {
      problems.push(notHandedOn(path, one, parentOf(path), above.directory));
    }
  }
  return there;
}

function notHandedOn(
  path: string,
  controller: string,
  parent: string,
  directory: string,
): Finding {
  return {
    what:
      `the control group ${path} had settings of the controller ${controller}, which ${parent} does not hand on`,
    hint: `enable it: echo +${controller} >${directory}/cgroup.subtree_control`,
  };
}

/** The controllers of cgroup v2 that a group handed on. */
function handedOnBy(settings: readonly SavedSetting[]): string[] {
  const value = settings.find(({ name }) => name === "cgroup.subtree_control")?.value ?? "";
  return value.split(" ").filter(Boolean);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || ROOT_GROUP;
}
