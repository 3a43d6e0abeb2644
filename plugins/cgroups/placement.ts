/**
 * Where tasks get at restore, hierarchy by hierarchy: into the group that they were in, or nowhere else than where
 * this tool is. Pure.
 *
 * @module
 */
import type { ManageCgroups } from "../../core/plugin.ts";
import type { Obstacle } from "./entrance.ts";
import type { FoundGroup } from "./group_files.ts";
import { describeGroup, isOutside, ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import { type Member, memberIn } from "./membership.ts";

/** Modes in which groups are made that are not there. */
const MAKING: ReadonlySet<ManageCgroups> = new Set(["soft", "full", "strict"]);

/** Whether groups are made that are not there. */
export function makesGroups(mode: ManageCgroups): boolean {
  return MAKING.has(mode);
}

/** What is to be done about one group of a set. */
export type Placement =
  /** Tasks stay where this tool is; `lost` says why, if they had been elsewhere. */
  | { readonly kind: "stay"; readonly lost?: string }
  | { readonly kind: "enter"; readonly directory: string }
  /** The group is made before. */
  | { readonly kind: "make"; readonly directory: string }
  | { readonly kind: "problem"; readonly what: string; readonly hint: string };

/** What a placement depends on. */
export interface PlacementFacts {
  readonly mode: ManageCgroups;
  /** The groups of the tool that made the checkpoint; empty where the images do not tell. */
  readonly ownThen: readonly Member[];
  /** The groups of this tool. */
  readonly ownNow: readonly Member[];
  find(hierarchy: string, path: string): FoundGroup;
  obstacle(hierarchy: string, found: FoundGroup & { readonly kind: "here" }): Obstacle | undefined;
}

/** How the user leaves all that to itself. */
export const IGNORE = "--manage-cgroups=ignore leaves the tree in this tool's groups";

/** Decides about one group. */
export function placeMember(
  { hierarchy, path }: Pick<Member, "hierarchy" | "path">,
  facts: PlacementFacts,
): Placement {
  const { mode, ownThen, ownNow } = facts;
  const now = memberIn(ownNow, hierarchy)?.path;
  if (now === path) return { kind: "stay" };
  // What the tree had in common with its tool it can have in common with this one: a session of somebody, mostly.
  const wasTools = memberIn(ownThen, hierarchy)?.path === path;
  if (path === ROOT_GROUP && (wasTools || now === undefined)) return { kind: "stay" };
  const group = `the control group ${describeGroup(hierarchy, path)}`;
  const instead = (why: string, hint: string): Placement =>
    wasTools
      ? { kind: "stay", lost: `${group} ${why}` }
      : { kind: "problem", what: `${group} ${why}`, hint };
  if (now === undefined) {
    return instead(
      "is of a hierarchy that this machine has not",
      hierarchy === ""
        ? IGNORE
        : `mount it (mount -t cgroup -o ${mountOptions(hierarchy)}); ${IGNORE}`,
    );
  }
  const found = facts.find(hierarchy, path);
  switch (found.kind) {
    case "unmounted":
      return instead(
        "cannot be looked for: its hierarchy is not mounted here",
        `mount it (mount -t ${
          hierarchy === "" ? "cgroup2" : `cgroup -o ${mountOptions(hierarchy)}`
        }); ${IGNORE}`,
      );
    case "outside":
      return instead(
        "is outside of what is mounted here, or of this tool's namespace of control groups",
        `run the tool outside of that namespace; ${IGNORE}`,
      );
    case "gone":
      if (!makesGroups(mode) || wasTools) {
        return instead(
          "does not exist here",
          `--manage-cgroups=soft makes it anew, with its settings; ${IGNORE}`,
        );
      }
      if (isOutside(path)) {
        return instead(
          "does not exist here, and is not made: it would be outside of this tool's namespace of control groups",
          `run the tool outside of that namespace; ${IGNORE}`,
        );
      }
      if (found.readOnly) {
        return instead(
          "does not exist, and cannot be made: it would be on a file system that is mounted for reading only",
          `have it mounted for writing (mount -o remount,rw); ${IGNORE}`,
        );
      }
      return { kind: "make", directory: found.directory };
    case "here": {
      const obstacle = facts.obstacle(hierarchy, found);
      if (obstacle !== undefined) return instead(obstacle.why, `${obstacle.hint}; ${IGNORE}`);
      return { kind: "enter", directory: found.directory };
    }
  }
}

function mountOptions(hierarchy: string): string {
  return hierarchy.startsWith("name=") ? `none,${hierarchy}` : hierarchy;
}
