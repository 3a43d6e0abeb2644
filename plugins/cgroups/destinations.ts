/**
 * Where the threads of the images get: for each set of groups, which of them are entered.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { StasisError } from "../../base/errors.ts";
import type { ManageCgroups } from "../../core/plugin.ts";
import type { core_entry } from "../../images/gen/thread_pb.ts";
import { present } from "../../images/present.ts";
import { obstacleOf } from "./entrance.ts";
import type { GroupFinder } from "./group_files.ts";
import type { SavedGroups } from "./image.ts";
import { ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import { type Member, memberIn } from "./membership.ts";
import { placeMember } from "./placement.ts";

/** A group that a thread gets into. */
export interface Destination {
  readonly hierarchy: string;
  /** From the root of this tool's namespace of control groups. */
  readonly path: string;
  readonly directory: string;
}

/** The destinations of a thread by hierarchy: where there is none it stays in this tool's group. */
export type Destinations = ReadonlyMap<string, Destination>;

const NOWHERE: Destinations = new Map();

/** What the sets of the images come to here. */
export class PlacedSets {
  /** Groups that are to be made for threads to get into, by hierarchy. */
  readonly wanted: Map<string, Set<string>> = new Map();
  /** What stands against it, each once. */
  readonly problems: Omit<Problem, "plugin">[] = [];
  /** The groups of this tool. */
  readonly ownNow: readonly Member[];
  readonly #sets = new Map<number, Destinations>();
  /** Roots of the tree's namespace in whose place it gets this tool's group, as {@link keyOf}. */
  readonly #lostRoots = new Set<string>();
  readonly #saved: SavedGroups;
  readonly #ownId: number | undefined;
  readonly #file: string;
  readonly #place: (member: Member) => Destination | undefined;

  /**
   * Decides about all sets but the one of the tool that made the checkpoint. That is in all images, and mostly no
   * thread of the tree is in it; nothing can stand against it either, so that it waits for the first one that is.
   *
   * @param ownId the set of the tool that made the checkpoint, as the inventory has it
   * @param ownNow the groups of this tool
   * @param file the image's path, for errors
   * @param lost is told of a group that the tree had in common with its tool and that is not to be had here, each once
   */
  constructor(
    saved: SavedGroups,
    finder: Pick<GroupFinder, "find">,
    { mode, ownId, ownNow, rehearsal, file, lost }: {
      readonly mode: ManageCgroups;
      readonly ownId: number | undefined;
      readonly ownNow: readonly Member[];
      readonly rehearsal: boolean;
      readonly file: string;
      readonly lost: (what: string) => void;
    },
  ) {
    this.#saved = saved;
    this.#ownId = ownId;
    this.#file = file;
    this.ownNow = ownNow;
    const ownThen = ownId === undefined ? [] : saved.sets.get(ownId) ?? [];
    const facts = {
      mode,
      ownThen,
      ownNow,
      find: (hierarchy: string, path: string) => finder.find(hierarchy, path),
      obstacle: (hierarchy: string, found: { directory: string; readOnly: boolean }) =>
        obstacleOf(hierarchy, found.directory, {
          readOnly: found.readOnly,
          privileges: !rehearsal,
        }),
    };
    const said = new Set<string>();
    this.#place = (member: Member): Destination | undefined => {
      const { hierarchy, path } = member;
      const placement = placeMember(member, facts);
      switch (placement.kind) {
        case "stay":
          if (placement.lost !== undefined && !said.has(placement.lost)) {
            said.add(placement.lost);
            lost(placement.lost);
          }
          return undefined;
        case "problem": {
          const { what, hint } = placement;
          if (!said.has(what)) this.problems.push({ what, hint });
          said.add(what);
          return undefined;
        }
        case "make": {
          const paths = this.wanted.get(hierarchy) ?? new Set();
          this.wanted.set(hierarchy, paths.add(path));
        }
      }
      return { hierarchy, path, directory: placement.directory };
    };
    for (const [id, members] of saved.sets) {
      if (id === ownId) continue;
      this.#sets.set(id, this.#placeAll(members));
      // Its own groups are where the namespace of the tree begins.
      for (const { hierarchy, root } of members) {
        if (root === undefined || root === ROOT_GROUP) continue;
        const placed = this.#place({ hierarchy, path: root });
        if (placed === undefined) this.#lostRoots.add(keyOf(hierarchy, root));
      }
    }
  }

  #placeAll(members: readonly Member[]): Destinations {
    const placed = members.flatMap((member) => this.#place(member) ?? []);
    return new Map(placed.map((one) => [one.hierarchy, one]));
  }

  /** Where a thread gets. @throws {StasisError} `bad-image` where its set is not in the images */
  of(core: core_entry): Destinations {
    const id = this.#idOf(core);
    const known = this.#sets.get(id), members = this.#saved.sets.get(id);
    if (known !== undefined || members === undefined) return known ?? NOWHERE;
    const placed = this.#placeAll(members);
    this.#sets.set(id, placed);
    return placed;
  }

  /** Whether some thread was in a namespace of control groups that was not its tool's. */
  get hasNamespace(): boolean {
    return [...this.#saved.sets.values()].flat().some(({ root }) => root !== undefined);
  }

  /**
   * Where the namespace of a thread begins here, by hierarchy. The tree gets this tool's group for a root that it had
   * in common with its tool, as it does for a group.
   *
   * @param isMade whether a group is made by this restore, after all: for one that is in it
   * @returns undefined where it is the tool's own namespace
   */
  rootsOf(
    core: core_entry,
    isMade: (hierarchy: string, path: string) => boolean,
  ): ReadonlyMap<string, string> | undefined {
    const members = this.#saved.sets.get(this.#idOf(core)) ?? [];
    if (members.every(({ root }) => root === undefined)) return undefined;
    return new Map(members.map(({ hierarchy, root = ROOT_GROUP }) => {
      const isLost = this.#lostRoots.has(keyOf(hierarchy, root)) && !isMade(hierarchy, root);
      const own = memberIn(this.ownNow, hierarchy)?.path;
      return [hierarchy, isLost && own !== undefined ? own : root];
    }));
  }

  /** 0: no set, so that it stays where this tool is. */
  #idOf({ threadCore, tc }: core_entry): number {
    const id = present(threadCore, "cgSet") ?? present(tc, "cgSet") ?? 0;
    // CRIU leaves out its own.
    if (id === 0 || id === this.#ownId || this.#saved.sets.has(id)) return id;
    throw new StasisError("bad-image", `${this.#file} has no set ${id}, which a thread is in`);
  }
}

function keyOf(hierarchy: string, path: string): string {
  return `${hierarchy}:${path}`;
}
