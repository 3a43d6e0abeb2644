/**
 * The checkpoint hooks.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import { readCgroupText, unlessGone } from "../../core/linux/procfs/mod.ts";
import type { CheckpointHooks, CheckpointSession, SurveyContext } from "../../core/plugin.ts";
import { CGROUP } from "../../images/kinds/cgroups.ts";
import { rootFor } from "./cgroup_root.ts";
import {
  type FoundGroup,
  GroupFinder,
  type GroupState,
  isFrozen,
  readGroup,
  readGroupFile,
} from "./group_files.ts";
import { describeGroup } from "../../core/linux/cgroup/group_path.ts";
import { encodeGroups, type FoundHierarchy, withoutLongSettings } from "./image.ts";
import { type Member, MemberSets, membersOf, savedGroups } from "./membership.ts";
import { namespaceOf, rootsOfTask, withRoots } from "./namespace.ts";

/** So many groups are saved with their settings at the most. */
const MOST_GROUPS = 1000;

/** What to do about a tree whose groups cannot be saved. */
const IGNORE_HINT = "--manage-cgroups=ignore leaves control groups out of the images";

/** Makes the hooks for one checkpoint. */
export function checkpointGroups(session: CheckpointSession): CheckpointHooks {
  const running = new RunningGroups();
  if (session.options.manageCgroups === "ignore") {
    return {
      // Tasks in a frozen group cannot be saved, whatever becomes of groups.
      survey: (tree) => void running.survey(tree),
      dumpTask({ threads }) {
        for (const { core } of threads) core.threadCore.cgSet = 0;
      },
    };
  }
  const namespace = new TreeNamespace();
  const settings = new Settings(session);
  let texts: ReadonlyMap<number, string> = new Map();
  let sets: MemberSets | undefined;
  const newSets = () => new MemberSets(readCgroupText(Deno.pid), (all) => namespace.complete(all));
  return {
    // That of a process is read from within its namespace as well, where it says something else.
    reads: { ofThreads: { cgroup: 512 } },
    survey(tree) {
      texts = running.survey(tree);
      namespace.survey(tree);
      if (tree.frozen) return;
      // What takes long to be read is read while the tree runs.
      const found = newSets();
      for (const text of texts.values()) found.of(text);
      settings.read(found, running.finder);
    },
    dumpTask({ pid, proc: { liveTid }, threads }) {
      sets ??= newSets();
      const text = texts.get(pid) ?? readCgroupText(liveTid);
      const differ = threads.length > 1 && mayDiffer(text, running.finder);
      for (const { tid, core } of threads) {
        const own = differ && tid !== liveTid ? readCgroupText(pid, tid) : text;
        core.threadCore.cgSet = sets.of(own).id;
      }
    },
    dumpTree() {
      if (sets === undefined || sets.own.members.length === 0) return;
      session.inventory.rootCgSet = sets.own.id;
      session.writer.write(
        CGROUP,
        null,
        encodeGroups(sets.all, settings.read(sets, running.finder)),
      );
    },
  };
}

/** The groups of the tree, as far as they are looked at to see whether they run. */
class RunningGroups {
  #finder = new GroupFinder();
  /** What `cgroup` files said that name no group which is frozen. */
  readonly #running = new Set<string>();

  /** Finds groups; what is mounted where was read while the tree ran. */
  get finder(): GroupFinder {
    return this.#finder;
  }

  /**
   * Reads in which groups the first threads of all processes are, and reports groups that are frozen. When the tree
   * stands still only those are looked at that it has got into meanwhile.
   *
   * @returns what their `cgroup` files say, by pid
   */
  survey({ tasks, problem, frozen }: SurveyContext): Map<number, string> {
    if (!frozen) {
      this.#finder = new GroupFinder();
      this.#running.clear();
    }
    const texts = new Map<number, string>();
    for (const task of tasks) {
      const { pid } = task;
      const text = unlessGone(() => readCgroupText(task.liveTid), undefined);
      if (text === undefined) continue;
      texts.set(pid, text);
      if (this.#running.has(text)) continue;
      const findings = membersOf(text).flatMap((member) => this.#frozen(member) ?? []);
      for (const one of findings) problem({ pid, ...one });
      if (findings.length === 0) this.#running.add(text);
    }
    return texts;
  }

  #frozen({ hierarchy, path }: Member): Omit<Problem, "plugin"> | undefined {
    const found = this.#finder.find(hierarchy, path);
    if (found.kind !== "here" || !isFrozen(hierarchy, found.directory)) return undefined;
    const thaw = hierarchy === ""
      ? `echo 0 >${found.directory}/cgroup.freeze`
      : `echo THAWED >${found.directory}/freezer.state`;
    return {
      what: `it is in a control group that is frozen, ${describeGroup(hierarchy, path)}`,
      hint: `thaw it, or the group above it that is frozen: ${thaw}`,
    };
  }
}

/**
 * Whether threads of a process may be in different groups: with cgroup v1 always, with v2 where the group of the first
 * one is threaded, or has threaded ones in it.
 */
function mayDiffer(text: string, finder: GroupFinder): boolean {
  return membersOf(text).some(({ hierarchy, path }) => {
    if (hierarchy !== "") return true;
    const found = finder.find(hierarchy, path);
    const type = found.kind === "here" ? readGroupFile(found.directory, "cgroup.type") : undefined;
    // The root has no such file, and may have threaded groups in it.
    return type?.trim() !== "domain";
  });
}

/** The namespace of control groups that the whole tree is in, where that is not the tool's. */
class TreeNamespace {
  #name: string | undefined;
  /** Where it begins; undefined where that is the tool's, or cannot be told. */
  #roots: ReadonlyMap<string, string> | undefined;
  #isKnown = true;

  /** Looks which one that is, and reports what cannot be saved. */
  survey({ tasks, root, problem }: SurveyContext): void {
    const name = namespaceOf(root.liveTid);
    if (name !== this.#name) {
      this.#name = name;
      const isOwn = name === undefined || name === namespaceOf(Deno.pid);
      this.#roots = isOwn ? undefined : rootsOfTask(root.liveTid);
      this.#isKnown = isOwn || this.#roots !== undefined;
    }
    if (!this.#isKnown) {
      problem({
        pid: root.pid,
        what:
          "it is in another namespace of control groups than this tool, which begins outside of this tool's",
        hint: `run the tool in that one (nsenter --cgroup -t ${root.pid}); ${IGNORE_HINT}`,
      });
    }
    for (const task of tasks) {
      const { pid } = task;
      const other = unlessGone(() => namespaceOf(task.liveTid), undefined);
      if (other === undefined || other === name) continue;
      problem({
        pid,
        what: `it is in another namespace of control groups than task ${root.pid}`,
        hint: `such a tree cannot be saved with them: ${IGNORE_HINT}`,
      });
    }
  }

  /** Adds to the groups of a thread where its namespace begins. @throws {StasisError} `unsupported` */
  complete(members: readonly Member[]): readonly Member[] {
    const rooted = this.#roots === undefined ? members : withRoots(members, this.#roots);
    if (rooted !== undefined) return rooted;
    throw new StasisError(
      "unsupported",
      "a thread of the tree is in a control group outside of its namespace of control groups",
      { hint: IGNORE_HINT },
    );
  }
}

/** The settings of the groups of a tree. */
class Settings {
  readonly #session: CheckpointSession;
  readonly #known = new Map<string, GroupState | undefined>();
  #left = MOST_GROUPS;

  constructor(session: CheckpointSession) {
    this.#session = session;
  }

  /** Reads those of all groups of some sets, each once. */
  read(sets: MemberSets, finder: GroupFinder): FoundHierarchy[] {
    const { options } = this.#session;
    const own = sets.own.members;
    const saved = savedGroups(sets.all, own, (one) => rootFor(options.cgroupRoots, one));
    return [...saved].map(([name, paths]) => {
      const groups = paths.flatMap((path) => this.#of(name, path, finder) ?? []);
      return { name, isThreaded: name !== "" || groups.some(isThreaded), groups };
    });
  }

  #of(hierarchy: string, path: string, finder: GroupFinder): GroupState | undefined {
    const key = `${hierarchy}:${path}`;
    if (!this.#known.has(key)) this.#known.set(key, this.#look(finder.find(hierarchy, path), path));
    return this.#known.get(key);
  }

  #look(found: FoundGroup, path: string): GroupState | undefined {
    // Where it cannot be found, the rehearsal of the restore says so.
    if (found.kind !== "here") return undefined;
    const budget = { left: this.#left, check: () => this.#session.check() };
    const state = readGroup(found.directory, path, budget);
    if (budget.left < 0 && this.#left >= 0) {
      this.#session.note(
        `more than ${MOST_GROUPS} control groups are in those of the tree: the settings of the rest are not saved`,
      );
    }
    this.#left = budget.left;
    return state && withoutLongSettings(state, path, (group, name) => {
      this.#session.note(
        `${name} of the control group ${group} is longer than the kernel takes at once, and is not saved`,
      );
    });
  }
}

function isThreaded({ settings, children }: GroupState): boolean {
  return settings.some(({ name, value }) => name === "cgroup.type" && value === "threaded") ||
    children.some(isThreaded);
}
