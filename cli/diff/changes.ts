/**
 * What changed between two checkpoints of a tree. Pure: of what `inspect` gathers, two each; the contents of memory
 * are compared in `pages.ts`.
 *
 * @module
 */
import { describeArguments } from "../inspect/arguments.ts";
import type { FilterInfo } from "../inspect/filters.ts";
import type { MappingInfo } from "../inspect/mapping.ts";
import type { DescriptorInfo, InspectedImages, TaskInfo, ThreadInfo } from "../inspect/model.ts";
import type { SysvInfo } from "../inspect/sysv_ipc.ts";
import { describeSud } from "../inspect/text.ts";

/** Something that was one thing and is another. */
export interface Change {
  /** What it is: `name`, `dispatch`, `handler of SIGINT`. */
  readonly what: string;
  /** Absent where there was none. */
  readonly before?: string;
  /** Absent where there is none. */
  readonly after?: string;
}

/** A thread that is in both. */
export interface ThreadDiff {
  readonly tid: number;
  readonly changes: readonly Change[];
}

/** A thread or process that is in one of them. */
export interface Named {
  readonly id: number;
  readonly name: string;
}

/** A descriptor that is in both and leads elsewhere, or is at another place. */
export interface DescriptorDiff {
  readonly fd: number;
  readonly before: string;
  readonly after: string;
}

/** A mapping that is in both. */
export interface MappingDiff {
  readonly before: MappingInfo;
  readonly after: MappingInfo;
}

/** What changed in the pages of a mapping. */
export interface PagesDiff {
  /** As it is in the second checkpoint. */
  readonly mapping: Pick<MappingInfo, "start" | "end" | "name">;
  /** How many pages hold something else. */
  readonly changed: number;
  /** How many of its pages are in the second checkpoint. */
  readonly saved: number;
}

/** A process that is in both. */
export interface TaskDiff {
  readonly pid: number;
  readonly comm: string;
  readonly changes: readonly Change[];
  readonly threads: {
    readonly ended: readonly Named[];
    readonly begun: readonly Named[];
    readonly changed: readonly ThreadDiff[];
  };
  readonly descriptors: {
    readonly closed: readonly { readonly fd: number; readonly what: string }[];
    readonly opened: readonly { readonly fd: number; readonly what: string }[];
    readonly changed: readonly DescriptorDiff[];
  };
  readonly mappings: {
    readonly unmapped: readonly MappingInfo[];
    readonly mapped: readonly MappingInfo[];
    readonly changed: readonly MappingDiff[];
  };
  /** Of its mappings with changed pages. */
  readonly pages: readonly PagesDiff[];
}

/** All that changed. */
export interface TreeDiff {
  /** The directories. */
  readonly before: string;
  readonly after: string;
  readonly ended: readonly Named[];
  readonly begun: readonly Named[];
  /** Those that are in both and have changed. */
  readonly changed: readonly TaskDiff[];
  /** System V IPC objects. */
  readonly sysv: readonly Change[];
}

/**
 * Compares two checkpoints, process by process, by pid.
 *
 * @param pagesOf what changed in the pages of a process that is in both
 */
export function diffTrees(
  before: InspectedImages,
  after: InspectedImages,
  pagesOf: (before: TaskInfo, after: TaskInfo) => readonly PagesDiff[],
): TreeDiff {
  const tasks = pair(before.tasks, after.tasks, ({ pid }) => pid);
  const named = ({ pid, comm }: TaskInfo): Named => ({ id: pid, name: comm });
  return {
    before: before.directory,
    after: after.directory,
    ended: tasks.gone.map(named),
    begun: tasks.added.map(named),
    changed: tasks.both
      .map(([one, other]) => diffTasks(one, other, before, after, pagesOf(one, other)))
      .filter(hasChanged),
    sysv: diffLists(
      before.sysv ?? [],
      after.sysv ?? [],
      sysvName,
      ({ uid, mode, what }) => `uid ${uid}  ${mode}  ${what}`,
    ),
  };
}

function hasChanged({ changes, threads, descriptors, mappings, pages }: TaskDiff): boolean {
  const lists = [changes, pages, ...[threads, descriptors, mappings].flatMap(Object.values)];
  return lists.some((list) => list.length > 0);
}

function diffTasks(
  before: TaskInfo,
  after: TaskInfo,
  { filters: filtersBefore = [] }: InspectedImages,
  { filters: filtersAfter = [] }: InspectedImages,
  pages: readonly PagesDiff[],
): TaskDiff {
  const threads = pair(before.threads, after.threads, ({ tid }) => tid);
  const named = ({ tid, comm = "" }: ThreadInfo): Named => ({ id: tid, name: comm });
  const descriptors = pair(before.descriptors, after.descriptors, ({ fd }) => fd);
  const open = (one: DescriptorInfo) => ({ fd: one.fd, what: describeDescriptor(one) });
  return {
    pid: after.pid,
    comm: after.comm,
    changes: [
      ...diffFields(taskFields(before), taskFields(after)),
      ...diffLists(
        before.locks ?? [],
        after.locks ?? [],
        ({ fd, what }) => `lock by ${fd}, ${what}`,
      ),
      ...diffLists(
        before.actions ?? [],
        after.actions ?? [],
        ({ signal }) => `action on ${signal}`,
        ({ what }) => what,
      ),
      ...diffLists(before.timers ?? [], after.timers ?? [], timerName, timerState),
    ],
    threads: {
      ended: threads.gone.map(named),
      begun: threads.added.map(named),
      changed: threads.both
        .map(([one, other]) => ({
          tid: other.tid,
          changes: diffFields(threadFields(one, filtersBefore), threadFields(other, filtersAfter)),
        }))
        .filter(({ changes }) => changes.length > 0),
    },
    descriptors: {
      closed: descriptors.gone.map(open),
      opened: descriptors.added.map(open),
      changed: descriptors.both
        .map(([one, other]) => ({
          fd: other.fd,
          before: describeDescriptor(one),
          after: describeDescriptor(other),
        }))
        .filter(({ before, after }) => before !== after),
    },
    mappings: diffMappings(before.mappings, after.mappings),
    pages,
  };
}

/** What of a process is one text each, by its name. */
function taskFields(task: TaskInfo): Record<string, string | undefined> {
  const { ppid, pgid, sid, comm, args, exe, state, exitStatus, memoryOf, filesOf } = task;
  return {
    name: comm,
    command: args === undefined ? undefined : describeArguments(args, true),
    program: exe,
    state,
    "exit status": exitStatus?.toString(),
    parent: String(ppid),
    group: String(pgid),
    session: String(sid),
    "memory of": memoryOf?.toString(),
    "descriptors of": filesOf?.toString(),
    "control groups": task.groups?.join(", "),
    "waiting signals": task.waiting?.join(" "),
  };
}

function threadFields(
  thread: ThreadInfo,
  filters: readonly FilterInfo[],
): Record<string, string | undefined> {
  const { comm, ip, sp, uid, gid, seccomp, blocked, waiting, signalStack, sud } = thread;
  // The numbers of filters are those of one directory: only what they say can be compared.
  const code = thread.filters?.map((index) => {
    const { flags, code = [] } = filters[index] ?? {};
    return [flags ?? "", ...code].join("\n");
  });
  return {
    name: comm,
    "instruction pointer": ip,
    "stack pointer": sp,
    user: uid?.toString(),
    group: gid?.toString(),
    dispatch: describeSud(sud),
    seccomp: code === undefined ? seccomp : `${seccomp}, ${code.length} filters`,
    "code of the filters": code?.join("\n\n"),
    "blocked signals": blocked?.join(" "),
    "waiting signals": waiting?.join(" "),
    "signal stack": signalStack,
  };
}

function describeDescriptor({ kind, what, closeOnExec }: DescriptorInfo): string {
  return `${kind}  ${what}${closeOnExec ? "  close-on-exec" : ""}`;
}

const sysvName = ({ kind, id }: SysvInfo): string => `${kind} ${id}`;
/** A timer's line begins with its name; the rest is what it does. */
const timerName = (line: string): string => line.split("  ")[0] as string;
const timerState = (line: string): string => line.split("  ").slice(1).join("  ");

function diffFields(
  before: Readonly<Record<string, string | undefined>>,
  after: Readonly<Record<string, string | undefined>>,
): Change[] {
  return Object.keys(after)
    .filter((what) => before[what] !== after[what])
    .map((what) => ({ what, before: before[what], after: after[what] }));
}

/** @param stateOf what of an item can change; nothing where it is left out */
function diffLists<Item>(
  before: readonly Item[],
  after: readonly Item[],
  nameOf: (item: Item) => string,
  stateOf: (item: Item) => string = () => "there",
): Change[] {
  const { gone, added, both } = pair(before, after, nameOf);
  return [
    ...gone.map((item) => ({ what: nameOf(item), before: stateOf(item) })),
    ...added.map((item) => ({ what: nameOf(item), after: stateOf(item) })),
    ...both.filter(([one, other]) => stateOf(one) !== stateOf(other))
      .map(([one, other]) => ({
        what: nameOf(other),
        before: stateOf(one),
        after: stateOf(other),
      })),
  ];
}

/**
 * Mappings that are the same but for their end, their beginning (a stack) or what is allowed are one that has changed;
 * those of one file at other places are others.
 */
function diffMappings(
  before: readonly MappingInfo[],
  after: readonly MappingInfo[],
): TaskDiff["mappings"] {
  const whole = ({ start, end, permissions, name, offset }: MappingInfo) =>
    [start, end, permissions, offset, name].join(" ");
  const exact = pair(before, after, whole);
  const byStart = pair(exact.gone, exact.added, ({ start, name }) => `${start} ${name}`);
  const byEnd = pair(byStart.gone, byStart.added, ({ end, name }) => `${end} ${name}`);
  return {
    unmapped: byEnd.gone,
    mapped: byEnd.added,
    changed: [...byStart.both, ...byEnd.both].map(([before, after]) => ({ before, after })),
  };
}

/** Items by a key that is theirs alone. */
function pair<Item, Key>(
  before: readonly Item[],
  after: readonly Item[],
  keyOf: (item: Item) => Key,
): { gone: Item[]; added: Item[]; both: [Item, Item][] } {
  const known = new Map(before.map((item) => [keyOf(item), item]));
  const kept = new Set<Key>();
  const added: Item[] = [];
  const both: [Item, Item][] = [];
  for (const item of after) {
    const key = keyOf(item);
    const one = known.get(key);
    if (one === undefined) added.push(item);
    else both.push([one, item]);
    kept.add(key);
  }
  return { gone: before.filter((item) => !kept.has(keyOf(item))), added, both };
}
