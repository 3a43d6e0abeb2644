/**
 * What of a task's surroundings cannot be saved: other namespaces than the tool's, a working directory or
 * root without a path.
 *
 * @module
 */
import { findTaskFile } from "../../core/checkpoint/file_location.ts";
import type { Task } from "../../core/checkpoint/task.ts";
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../../core/linux/capability.ts";
import { KCMP, kcmp, ThreadComparison } from "../../core/linux/kcmp.ts";
import {
  NAMESPACE_NAMES,
  NamespaceComparison,
  type NamespaceName,
  type Namespaces,
  ownNamespaces,
  parseNamespaceLink,
  readNamespaces,
  readStat,
  readStatus,
  readTaskLink,
  type TaskStat,
  type TaskStatus,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import { onceNeeded } from "../../core/linux/sweep.ts";
import type { OperationOptions, SurveyContext } from "../../core/plugin.ts";
import { canBeEntered, enterCommand } from "./enter_namespaces.ts";

/** Names of namespaces for people. */
const WHAT: Readonly<Record<string, string>> = {
  cgroup: "control group",
  ipc: "IPC",
  mnt: "mount",
  net: "network",
  pid: "pid",
  pid_for_children: "pid (for its children)",
  time: "time",
  time_for_children: "time (for its children)",
  user: "user",
  uts: "host name",
};

/** An untag mask that takes nothing away. */
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** PF_EXITING (`include/linux/sched.h`). */
const PF_EXITING = 0x4;

/** PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE (`include/linux/sched.h`): what prctl(PR_SET_IO_FLUSHER) sets. */
const PF_IO_FLUSHER = 0x00080000 | 0x00100000;

/** The namespaces that differ. A file that one of them lacks is no difference. */
export function foreignNamespaces(own: Namespaces, theirs: Namespaces): NamespaceName[] {
  return NAMESPACE_NAMES.filter((name) =>
    own[name] !== undefined && theirs[name] !== undefined && own[name] !== theirs[name]
  );
}

/** A process of the tree in other namespaces than the tool's. */
interface Foreign {
  readonly task: Task;
  readonly names: NamespaceName[];
  /** Which namespaces those are: equal of all that one tool could be inside of with it. */
  readonly place: string;
}

/** What can be done about processes in other namespaces: each place has the first process that is in it. */
function insideHint({ task, names }: Foreign, isWhole: boolean): string {
  if (!canBeEntered(names)) {
    return "nothing helps while its children are born into another namespace than its own: " +
      "checkpoint one of them by itself, and see what is said of that (docs/pids.md)";
  }
  const { pid, status, liveTid } = task;
  const inner = status.nsPid.at(-1) ?? pid;
  const strangeProc = names.includes("pid") && showsOwnId(liveTid);
  // One that is mounted there would be everybody's.
  if (strangeProc && !names.includes("mnt")) {
    return "nothing helps while the /proc that it has in common with this tool is of this pid namespace: start it " +
      "with one of its own (unshare --pid --fork --mount-proc) (docs/pids.md)";
  }
  const command = enterCommand({ pid, inner, names, strangeProc });
  const what = isWhole ? "run the tool inside of them" : "save what is in those by itself";
  return `${what}, as far as it is there: ${command}; from outside such trees are not saved yet ` +
    "(docs/pids.md)";
}

/**
 * Whether the `/proc` of another process shows this one's id: then it is not of a pid namespace that this one is not in
 * (`proc_self_get_link()` of fs/proc/self.c).
 */
function showsOwnId(pid: number): boolean {
  try {
    return Deno.readLinkSync(`/proc/${pid}/root/proc/self`) !== "";
  } catch {
    return false;
  }
}

/** Reports processes in other namespaces. Seen from outside, paths and whatever else they have are others, too. */
function reportForeign(
  root: Task,
  foreign: readonly Foreign[],
  tasks: readonly Task[],
  problem: SurveyContext["problem"],
): void {
  if (foreign.length === 0) return;
  const places = Map.groupBy(foreign, ({ place }) => place);
  // Of one that has ended the kernel tells two alone.
  const entered = foreign.filter(({ task }) => !task.isZombie);
  const isWhole = new Set(entered.map(({ place }) => place)).size === 1 &&
    tasks.filter((task) => !task.isZombie).length === entered.length;
  for (const one of foreign) {
    const others = one.names.length === 1 ? "another namespace" : "other namespaces";
    const [first = one] = places.get(one.place) ?? [];
    problem({
      pid: one.task.pid,
      what: `it is in ${others} than this tool: ${
        one.names.map((name) => WHAT[name] ?? name).join(", ")
      }`,
      // What holds of a process holds of its tree: others of that are elsewhere.
      hint: one.task === root && !isWhole && canBeEntered(one.names)
        ? "nothing helps while its tree is in several: checkpoint a part of it that is in one by itself"
        : insideHint(first, isWhole),
      decisive: true,
    });
  }
}

/** The namespaces that all tasks of a tree are to be in: those of the tool, and one of time of its own if it has one. */
function namespacesOf(root: number): Namespaces {
  const { time, time_for_children: children } = readNamespaces(root);
  const own = ownNamespaces();
  return time === children ? { ...own, time, time_for_children: time } : own;
}

/**
 * The namespaces that a thread may leave by itself, unshare(2) and setns(2): not those of users and of
 * time, and that of mounts only with a working directory of its own, which is asked for apart.
 */
export const OF_THREADS = ["cgroup", "ipc", "net", "pid_for_children", "uts"] as const;

function threadNamespaces(pid: number, tid: number): Namespaces {
  const namespaces: Partial<Record<keyof Namespaces, bigint>> = {};
  for (const name of OF_THREADS) {
    const text = readTaskLink(pid, `ns/${name}`, tid);
    if (text !== undefined) namespaces[name] = parseNamespaceLink(text).inode;
  }
  return namespaces;
}

/** The survey of this plugin. */
export function surveyTasks(
  { tasks, root, problem, frozen }: SurveyContext,
  options: OperationOptions,
): void {
  const own = namespacesOf(root.liveTid);
  const ofRoot = unlessGone(() => readNamespaces(root.liveTid), undefined);
  const live = tasks.flatMap((task) => unlessGone(() => [task.liveTid], []));
  const elsewhere = new Set(ofAll().findOthers(root.liveTid, live));
  const foreign: Foreign[] = [];
  for (const task of tasks) {
    const { pid } = task;
    try {
      const { liveTid } = task;
      const leader = ofRoot === undefined || elsewhere.has(liveTid)
        ? readNamespaces(liveTid)
        : ofRoot;
      // That of control groups may be the tree's own: the plugin "cgroups" sees to it.
      const names = foreignNamespaces(own, { ...leader, cgroup: undefined });
      if (names.length > 0) {
        foreign.push({ task, names, place: names.map((name) => leader[name]).join() });
      }
      // A thread may have left its process's namespaces by itself; rare enough to look once.
      if (frozen && task.threads.length > 1) {
        const others = task.threads.slice(1);
        for (const tid of ofNamespaces().findOthers(liveTid, others, pid)) {
          surveyThread(pid, tid, foreignNamespaces(leader, threadNamespaces(pid, tid)), problem);
        }
        surveySharing(task, others, problem);
      }
      surveyPath(task, "cwd", "working directory", problem, options);
      surveyPath(task, "root", "root directory", problem, options);
      surveyTags(task.status, pid, problem);
      surveyFlushers(task, frozen, problem);
    } catch (error) {
      // A task of a running tree may end at any moment.
      if (!(error instanceof StasisError) || error.code !== "no-such-task") throw error;
    }
  }
  reportForeign(root, foreign, tasks, problem);
}

/** A thread that has left namespaces of its process. */
function surveyThread(
  pid: number,
  tid: number,
  names: readonly NamespaceName[],
  problem: SurveyContext["problem"],
): void {
  if (names.length === 0) return;
  const others = names.length === 1 ? "another namespace" : "other namespaces";
  const which = names.map((name) => WHAT[name] ?? name).join(", ");
  problem({
    pid,
    tid,
    what: `it is in ${others} than its process: ${which}`,
    hint: OWN_THREAD_HINT,
  });
}

/**
 * Threads of which nobody may ask whether they are I/O flushers, and which are. New threads are what their makers
 * were, so it is enough to look at all of them while they run.
 */
function surveyFlushers(
  task: Task,
  frozen: boolean,
  problem: SurveyContext["problem"],
): void {
  const { pid } = task;
  for (const tid of frozen ? [task.liveTid] : task.threads) {
    // A thread may end at any moment.
    const stat = tid === pid ? task.stat : unlessGone(() => readStat(pid, tid), undefined);
    if (stat === undefined || !isFlusher(stat)) continue;
    const status = unlessGone(() => readStatus(pid, tid), undefined);
    if (status === undefined || mayBeAskedForFlusher(status)) continue;
    problem({
      pid,
      tid,
      what:
        "it is an I/O flusher (PR_SET_IO_FLUSHER) and has given up the right to be asked for it",
      hint: "that can be saved while it has CAP_SYS_RESOURCE alone",
    });
  }
}

/** Whether a thread is an I/O flusher, by the flags of its stat. */
export function isFlusher({ flags }: Pick<TaskStat, "flags">): boolean {
  return (flags & PF_IO_FLUSHER) === PF_IO_FLUSHER;
}

function mayBeAskedForFlusher({ caps }: Pick<TaskStatus, "caps">): boolean {
  return (caps.effective & CAP.SYS_RESOURCE) !== 0n;
}

/** Addresses with tags in them (linear address masking of Intel's processors) would be wrong without. */
export function surveyTags(
  { untagMask }: Pick<TaskStatus, "untagMask">,
  pid: number,
  problem: SurveyContext["problem"],
): void {
  if (untagMask === undefined || untagMask === ALL_BITS) return;
  problem({
    pid,
    what: "its pointers may have tags (ARCH_ENABLE_TAGGED_ADDR), which cannot be saved yet",
    hint: "start it without linear address masking",
  });
}

/** What can be done about a thread that has something of its own which processes have otherwise. */
const OWN_THREAD_HINT =
  "threads are restored with what their process has: end that thread, or have a process of its own do its work";

/** Threads are restored with one working directory and one descriptor table, as clone(2) of a libc makes them. */
const SHARED = new Map<number, string>([
  [KCMP.FS, "a working directory, root and umask of its own (unshare(CLONE_FS))"],
  [KCMP.FILES, "a descriptor table of its own (unshare(CLONE_FILES))"],
]);

const ofAll = onceNeeded(() => new NamespaceComparison(NAMESPACE_NAMES));
const ofNamespaces = onceNeeded(() => new NamespaceComparison(OF_THREADS));
const ofShared = onceNeeded(() => new ThreadComparison([...SHARED.keys()]));

function surveySharing(
  { pid, liveTid }: Task,
  tids: readonly number[],
  problem: SurveyContext["problem"],
): void {
  ofShared().compare(liveTid, tids, (tid, type) => {
    if (kcmp(liveTid, tid, type) === 0) return;
    // One that is ending has given up what it shared.
    if (!isEnding(pid, tid)) {
      return problem({
        pid,
        tid,
        what: `it has ${SHARED.get(type)}`,
        hint: OWN_THREAD_HINT,
      });
    }
    throw new StasisError("no-such-task", `thread ${tid} of task ${pid} ends`, { pid });
  });
}

/** Whether a thread has ended, or will in a moment. */
function isEnding(pid: number, tid: number): boolean {
  return unlessGone(() => {
    const { state, flags } = readStat(pid, tid);
    return ["Z", "X"].includes(state) || (flags & PF_EXITING) !== 0;
  }, true);
}

/** Whether a directory is where the kernel tells that it is, or was deleted and can be made anew. */
function surveyPath(
  { pid, liveTid }: Task,
  link: "cwd" | "root",
  what: string,
  problem: SurveyContext["problem"],
  options: OperationOptions,
): void {
  const found = findTaskFile(liveTid, link, `its ${what}`, options);
  if (found !== undefined && "problem" in found) problem({ pid, ...found.problem });
}
