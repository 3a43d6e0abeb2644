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
import { type Member, ROOT_GROUP } from "./membership.ts";
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
  /** Groups that the tree had in common with its tool and that are not to be had here, each once. */
  readonly lost: Set<string> = new Set();
  /** The groups of this tool. */
  readonly ownNow: readonly Member[];
  readonly #sets = new Map<number, Destinations>();
  readonly #saved: SavedGroups;
  readonly #ownId: number | undefined;
  readonly #file: string;

  /**
   * Decides about all sets.
   *
   * @param ownId the set of the tool that made the checkpoint, as the inventory has it
   * @param ownNow the groups of this tool
   * @param file the image's path, for errors
   */
  constructor(
    saved: SavedGroups,
    finder: GroupFinder,
    { mode, ownId, ownNow, rehearsal, file }: {
      readonly mode: ManageCgroups;
      readonly ownId: number | undefined;
      readonly ownNow: readonly Member[];
      readonly rehearsal: boolean;
      readonly file: string;
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
    const place = (member: Member): Destination | undefined => {
      const { hierarchy, path } = member;
      const placement = placeMember(member, facts);
      switch (placement.kind) {
        case "stay":
          if (placement.lost !== undefined) this.lost.add(placement.lost);
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
      const placed = members.flatMap((member) => place(member) ?? []);
      this.#sets.set(id, new Map(placed.map((one) => [one.hierarchy, one])));
      // Its own groups are where the namespace of the tree begins.
      for (const { hierarchy, root } of members) {
        if (root !== undefined && root !== ROOT_GROUP) place({ hierarchy, path: root });
      }
    }
  }

  /** Where a thread gets. @throws {StasisError} `bad-image` where its set is not in the images */
  of(core: core_entry): Destinations {
    return this.#sets.get(this.#idOf(core)) ?? NOWHERE;
  }

  /** The groups that a thread was in, in the paths of this machine; none where the images do not tell. */
  membersOf(core: core_entry): readonly Member[] {
    return this.#saved.sets.get(this.#idOf(core)) ?? [];
  }

  /** 0: no set, so that it stays where this tool is. */
  #idOf({ threadCore, tc }: core_entry): number {
    const id = present(threadCore, "cgSet") ?? present(tc, "cgSet") ?? 0;
    // CRIU leaves out its own.
    if (id === 0 || id === this.#ownId || this.#saved.sets.has(id)) return id;
    throw new StasisError("bad-image", `${this.#file} has no set ${id}, which a thread is in`);
  }
}
