/**
 * The restore hooks.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../../core/linux/capability.ts";
import { readCgroupText } from "../../core/linux/procfs/mod.ts";
import type {
  LoadContext,
  RestoreHooks,
  RestoreSession,
  TaskPlanner,
  ThreadPlanner,
  TreePlanner,
} from "../../core/plugin.ts";
import { CGROUP } from "../../images/kinds/cgroups.ts";
import { INVENTORY } from "../../images/kinds/core.ts";
import { present } from "../../images/present.ts";
import { type Destination, PlacedSets } from "./destinations.ts";
import { Doors } from "./doors.ts";
import { GroupFinder, hasGroupFile, readGroupFile } from "./group_files.ts";
import { describeGroup, ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import { decodeGroups } from "./image.ts";
import { type Making, type Makings, planMakings as chooseMakings } from "./making.ts";
import { memberIn, membersOf } from "./membership.ts";
import { CLONE_NEWCGROUP } from "./namespace.ts";
import { type PidsLimit, pidsProblems } from "./pids_limit.ts";
import { IGNORE } from "./placement.ts";
import { planMakings, planSetting } from "./plan_groups.ts";
import { planNamespace } from "./plan_namespace.ts";
import { reroot } from "./reroot.ts";

/** Makes the hooks for one restore. */
export function restoreGroups(session: RestoreSession): RestoreHooks {
  const { images, options } = session;
  if (options.manageCgroups === "ignore" || !images.has(CGROUP, null)) return {};
  const restore = new GroupRestore(session);
  return {
    load: (context) => restore.load(context),
    planTree: (tree) => restore.planTree(tree),
    planTask: (task) => restore.planTask(task),
    planThread: (thread) => restore.planThread(thread),
  };
}

/** One restore. */
class GroupRestore {
  readonly #session: RestoreSession;
  readonly #finder = new GroupFinder();
  #sets!: PlacedSets;
  #makings!: Makings;
  #doors!: Doors;
  /** The service number of the tree's own namespace. */
  #namespace: number | undefined;

  constructor(session: RestoreSession) {
    this.#session = session;
  }

  /** Reads the images, decides who gets where, and reports what stands against it. */
  load({ problem }: LoadContext): void {
    const { images, options, rehearsal, note } = this.#session;
    const { manageCgroups: mode = "none", cgroupRoots } = options;
    const file = images.pathOf(CGROUP, null);
    const decoded = decodeGroups(images.read(CGROUP, null), file);
    // At a checkpoint the option says from where on settings are saved, and moves nothing.
    const saved = rehearsal ? decoded : reroot(decoded, cgroupRoots);
    this.#sets = new PlacedSets(saved, this.#finder, {
      mode,
      ownId: present(images.read(INVENTORY, null), "rootCgSet"),
      ownNow: membersOf(readCgroupText(Deno.pid)),
      rehearsal,
      file,
      lost: (what) =>
        note(`${what}: the tree was there with the tool that saved it, and is with this one now`),
    });
    this.#checkNamespace();
    this.#makings = chooseMakings(saved.hierarchies, this.#sets.wanted, {
      mode,
      rehearsal,
      find: (hierarchy, path) => this.#finder.find(hierarchy, path),
      has: (directory, name) => hasGroupFile(directory, name),
      enabled: (directory) =>
        (readGroupFile(directory, "cgroup.subtree_control") ?? "").split(/\s+/).filter(Boolean),
    });
    for (const one of [...this.#sets.problems, ...this.#makings.problems]) problem(one);
    for (const { directory } of this.#makings.made) this.#session.willMake(directory);
  }

  #checkNamespace(): void {
    const { effective } = this.#session.machine.privileges.caps;
    if (!this.#sets.hasNamespace || (effective & CAP.SYS_ADMIN) !== 0n) return;
    throw new StasisError(
      "no-privilege",
      "the tree was in a namespace of control groups of its own, which takes CAP_SYS_ADMIN",
      { hint: `restore as root; ${IGNORE}` },
    );
  }

  /** Makes groups and the tree's namespace. @throws {StasisError} `conflict` */
  planTree(tree: TreePlanner): void {
    this.#checkLimits(tree);
    planMakings(tree, this.#makings.made);
    const [root] = tree.tasks;
    if (root === undefined) return;
    this.#doors = new Doors(tree);
    const isMade = (hierarchy: string, path: string) => this.#madeAt(hierarchy, path) !== undefined;
    const roots = this.#sets.rootsOf(root.core, isMade);
    if (roots !== undefined) {
      const find = (hierarchy: string, path: string) => this.#groupAt(hierarchy, path);
      this.#namespace = planNamespace(tree, this.#doors, roots, this.#sets.ownNow, find);
    }
    for (const one of this.#makings.set) planSetting(root, one);
  }

  /** Puts a process where it was, before it has any file or memory, which is accounted to its groups. */
  planTask(task: TaskPlanner): void {
    const program = task.program("open");
    if (this.#namespace !== undefined) program.call("setns", this.#namespace, CLONE_NEWCGROUP);
    for (const one of this.#sets.of(task.core).values()) {
      this.#doors.enterProcess(program, one, task.pid);
    }
  }

  /** Puts a thread where it was, if its process is elsewhere. */
  planThread(thread: ThreadPlanner): void {
    const { tid, task, core } = thread;
    if (tid === task.pid) return;
    const theirs = this.#sets.of(task.core), own = this.#sets.of(core);
    for (const hierarchy of new Set([...theirs.keys(), ...own.keys()])) {
      const to = own.get(hierarchy);
      if (to?.directory === theirs.get(hierarchy)?.directory) continue;
      this.#doors.enterThread(thread.program("thread"), to ?? this.#toolsGroup(hierarchy), tid);
    }
  }

  /** This tool's own group as a destination. */
  #toolsGroup(hierarchy: string): Destination {
    return this.#groupAt(hierarchy, memberIn(this.#sets.ownNow, hierarchy)?.path ?? ROOT_GROUP);
  }

  /** A group that is there, or is made by this restore. */
  #groupAt(hierarchy: string, path: string): Destination {
    const found = this.#finder.find(hierarchy, path);
    const place = found.kind === "here" ? found : this.#madeAt(hierarchy, path);
    if (place !== undefined) return { hierarchy, path, directory: place.directory };
    throw new StasisError(
      "conflict",
      `the control group ${describeGroup(hierarchy, path)} is not to be found`,
      { hint: `mount its hierarchy; ${IGNORE}` },
    );
  }

  #madeAt(hierarchy: string, path: string): Making | undefined {
    return this.#makings.made.find((one) => one.hierarchy === hierarchy && one.path === path);
  }

  #checkLimits(tree: TreePlanner): void {
    const { rehearsal } = this.#session;
    for (const { hierarchy, path: own } of this.#sets.ownNow) {
      if (hierarchy !== "" && !hierarchy.split(",").includes("pids")) continue;
      const processes = tree.tasks.filter(({ core }) => this.#sets.of(core).has(hierarchy))
        .map(({ pid, core, threads }) => ({
          pid,
          // A first thread that ends is there in the beginning.
          threads: [...threads[0]?.tid === pid ? [] : [{ core }], ...threads]
            .map(({ core }) => this.#sets.of(core).get(hierarchy)?.path ?? own),
        }));
      const limitOf = (path: string) => this.#limitOf(hierarchy, path);
      const problems = [...pidsProblems(hierarchy, processes, limitOf, rehearsal)];
      const [first] = problems;
      if (first === undefined) continue;
      throw new StasisError("conflict", first.what, { hint: first.hint });
    }
  }

  #limitOf(hierarchy: string, path: string): PidsLimit | undefined {
    const found = this.#finder.find(hierarchy, path);
    if (found.kind === "here") {
      const limit = readGroupFile(found.directory, "pids.max")?.trim();
      const current = Number(readGroupFile(found.directory, "pids.current") ?? 0);
      return limit === undefined ? undefined : { limit: numberOf(limit), current };
    }
    const limit = this.#madeAt(hierarchy, path)?.saved?.settings.find(({ name }) =>
      name === "pids.max"
    )?.value;
    return limit === undefined ? undefined : { limit: numberOf(limit), current: 0 };
  }
}

function numberOf(limit: string): number | undefined {
  return limit === "max" ? undefined : Number(limit);
}
