/**
 * Everything that can be seen of a process tree from outside, as one flat list of facts: to show that a
 * target is unharmed by a checkpoint that failed or that left it running, and that a restored one is
 * what it was. It reads `/proc` alone and touches nothing.
 *
 * What changes by itself in any running process is left out: times and counters of CPU, faults and
 * switches, memory sizes (the mappings are compared one by one), whether a thread runs or sleeps at
 * the moment, which CPU it is on. What a restore cannot keep is left out when asked for: see
 * {@link DiffOptions.restored}.
 *
 * @module
 */

import { processTree, readProcess } from "./processes.ts";

/** Facts by path: `4711/thread/4712/status/SigBlk` and its value. Of one machine, at one time. */
export type Snapshot = ReadonlyMap<string, string>;

/** How two snapshots are compared. */
export interface DiffOptions {
  /**
   * The second was taken after a restore. Left out then: the parent of the tree's root; and numbers of
   * objects which the kernel has made anew (pipes, sockets, anonymous inodes, memfds, shared anonymous
   * memory) are not compared themselves, but which descriptors and mappings share one still is.
   */
  readonly restored?: boolean;
  /**
   * Paths that the subject changes by its own work: `/\/fdinfo\/5\/pos$/`, or `/\/status\/SigBlk$/`
   * where a thread is in and out of a signal handler, as one that makes foreign calls is.
   */
  readonly ignore?: readonly RegExp[];
}

/** Lines of `/proc/PID/status` that change by themselves, or that repeat other facts. */
const VOLATILE_STATUS =
  /^(Vm(?!Lck|Pin)\w+|Rss\w+|Hugetlb\w*|SigQ|\w*ctxt_switches|CoreDumping|FDSize|State|Name)$/;

/** Fields of `/proc/PID/stat` (proc_pid_stat(5)) that stay, by their number there. */
const STAT_FIELDS: Readonly<Record<string, number>> = {
  ppid: 4,
  pgrp: 5,
  session: 6,
  tty: 7,
  nice: 19,
  startcode: 26,
  endcode: 27,
  startstack: 28,
  exit_signal: 38,
  rt_priority: 40,
  policy: 41,
  start_data: 45,
  end_data: 46,
  start_brk: 47,
  arg_start: 48,
  arg_end: 49,
  env_start: 50,
  env_end: 51,
};

/** Lines of `status` that tell who a thread that has ended was. */
const IDENTITY = /^(State|Tgid|Pid|PPid|Uid|Gid)$/;

/** What of it tells of a process that has ended: the rest is of how it ran. */
const ZOMBIE_FIELDS = ["ppid", "pgrp", "session", "exit_signal"];

/** Whole files of `/proc/PID` that stay. */
const FILES = [
  "limits",
  "cmdline",
  "environ",
  "auxv",
  "oom_score_adj",
  "coredump_filter",
  "personality",
  "timerslack_ns",
  "loginuid",
  "uid_map",
  "gid_map",
] as const;

const NAMESPACES = [
  "cgroup",
  "ipc",
  "mnt",
  "net",
  "pid",
  "pid_for_children",
  "time",
  "user",
  "uts",
];

/**
 * Takes a snapshot of a process and all its descendants.
 *
 * @param root pid of the tree's root
 * @throws Error if there is no such process
 */
export function takeSnapshot(root: number): Snapshot {
  const facts = new Map<string, string>();
  const tree = processTree(root);
  if (tree.length === 0) throw new Error(`there is no process ${root}`);
  facts.set("root", String(root));
  for (const pid of tree) addProcess(facts, pid);
  return facts;
}

/**
 * What differs between two snapshots, one sentence each, sorted; empty if nothing does.
 *
 * @param before the earlier one
 * @param after the later one
 */
export function diffSnapshots(
  before: Snapshot,
  after: Snapshot,
  options: DiffOptions = {},
): string[] {
  const orphaned = options.restored ? locksOfOthers(before) : new Set<string>();
  const left = options.restored ? withoutIdentities(before, orphaned) : before;
  const right = options.restored ? withoutIdentities(after, orphaned) : after;
  const differences: string[] = [];
  for (const path of new Set([...left.keys(), ...right.keys()])) {
    if (options.ignore?.some((pattern) => pattern.test(path))) continue;
    const was = left.get(path);
    const is = right.get(path);
    if (was === is) continue;
    if (was === undefined) differences.push(`${path}: new, ${JSON.stringify(is)}`);
    else if (is === undefined) differences.push(`${path}: gone, was ${JSON.stringify(was)}`);
    else differences.push(`${path}: ${JSON.stringify(was)} became ${JSON.stringify(is)}`);
  }
  return differences.sort();
}

function addProcess(facts: Map<string, string>, pid: number): void {
  const process = readProcess(pid);
  const state = process?.state ?? "gone";
  if (state === "Z" || state === "gone") {
    const stat = `/proc/${pid}/task/${pid}/stat`;
    facts.set(`${pid}/zombie`, state === "Z" ? text(stat).split(" ").at(-1)!.trim() : state);
    addStat(facts, pid, ZOMBIE_FIELDS);
    if (process === null || process.threads === 1) return;
  } else addStat(facts, pid, Object.keys(STAT_FIELDS));
  // A first thread that has ended while others live has nothing any more: they have it.
  const seen = state === "Z" ? names(`/proc/${pid}/task`).find((tid) => tid !== String(pid)) : pid;
  const proc = `/proc/${seen}`;
  for (const name of FILES) facts.set(`${pid}/${name}`, text(`${proc}/${name}`));
  facts.set(`${pid}/cgroup`, withoutEmptyHierarchies(text(`${proc}/cgroup`)));
  for (const name of ["exe", "cwd", "root"]) facts.set(`${pid}/${name}`, link(`${proc}/${name}`));
  for (const name of NAMESPACES) facts.set(`${pid}/ns/${name}`, link(`${proc}/ns/${name}`));
  addTimers(facts, pid);
  addMappings(facts, pid, proc);
  for (const fd of names(`${proc}/fd`)) {
    facts.set(`${pid}/fd/${fd}`, link(`${proc}/fd/${fd}`));
    addFdinfo(facts, pid, fd, proc);
  }
  for (const tid of names(`${proc}/task`)) addThread(facts, pid, tid);
}

function addStat(facts: Map<string, string>, pid: number, names: readonly string[]): void {
  const stat = text(`/proc/${pid}/stat`);
  const rest = stat.slice(stat.lastIndexOf(")") + 2).trim().split(" ");
  for (const name of names) {
    facts.set(`${pid}/stat/${name}`, rest[STAT_FIELDS[name]! - 3] ?? "");
  }
}

function addThread(facts: Map<string, string>, pid: number, tid: string): void {
  const proc = `/proc/${pid}/task/${tid}`;
  const path = `${pid}/thread/${tid}`;
  const hasEnded = /^State:\tZ/m.test(text(`${proc}/status`));
  for (const line of text(`${proc}/status`).split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    // What is told of one that has ended is who it was.
    if (hasEnded && !IDENTITY.test(name)) continue;
    if (!VOLATILE_STATUS.test(name)) facts.set(`${path}/status/${name}`, value);
    if (name === "State") facts.set(`${path}/state`, settledState(value));
  }
  facts.set(`${path}/comm`, text(`${proc}/comm`));
  if (hasEnded) return;
  const stat = text(`${proc}/stat`);
  const rest = stat.slice(stat.lastIndexOf(")") + 2).trim().split(" ");
  for (const name of ["nice", "rt_priority", "policy"]) {
    facts.set(`${path}/${name}`, rest[STAT_FIELDS[name]! - 3] ?? "");
  }
}

/** Running and sleeping come and go; being stopped, traced or dead does not. */
function settledState(state: string): string {
  return /^[RSDI]/.test(state) ? "alive" : state;
}

/** `ID: 3` opens a timer's lines in `/proc/PID/timers`; none of them counts time. */
function addTimers(facts: Map<string, string>, pid: number): void {
  let id = "";
  for (const line of text(`/proc/${pid}/timers`).split("\n")) {
    const [name, value] = line.split(/:\s*/, 2);
    if (name === "ID") id = value ?? "";
    else if (name) facts.set(`${pid}/timer/${id}/${name}`, value ?? "");
  }
}

/** One line of `/proc/PID/smaps` with its flags. */
interface Mapping {
  readonly start: string;
  end: string;
  readonly perms: string;
  readonly file: string;
  flags: string;
}

/** Anonymous private memory of which nothing tells but where it is. */
const NAMELESS = " +0x00000000 00:00 [0]";

function addMappings(facts: Map<string, string>, pid: number, proc: string): void {
  for (const { start, end, perms, file, flags } of joined(readMappings(proc))) {
    const path = `${pid}/map/${start}-${end}`;
    facts.set(`${path}/perms`, perms);
    facts.set(`${path}/file`, file);
    facts.set(`${path}/flags`, flags);
  }
}

/** The kernel keeps neighbours that are alike apart or makes one of them, as they came about. */
function joined(mappings: readonly Mapping[]): Mapping[] {
  const result: Mapping[] = [];
  for (const next of mappings) {
    const last = result.at(-1);
    const alike = last !== undefined && last.end === next.start && last.perms === next.perms &&
      last.flags === next.flags && last.file === NAMELESS && next.file === NAMELESS;
    if (alike) last.end = next.end;
    else result.push(next);
  }
  return result;
}

function readMappings(proc: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text(`${proc}/smaps`).split("\n")) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (.{4}) ([0-9a-f]+) (\S+) (\d+)\s*(.*)$/.exec(line);
    if (head) {
      const [, start, end, perms, offset, device, inode, name] = head as unknown as string[];
      const file = `${name} +0x${offset} ${device} [${inode}]`;
      mappings.push({ start: start!, end: end!, perms: perms!, file, flags: "" });
      continue;
    }
    const flags = /^VmFlags:\s*(.*?)\s*$/.exec(line);
    const last = mappings.at(-1);
    // Soft-dirty tells of writes, not of the mapping.
    if (flags && last) last.flags = flags[1]!.split(" ").filter((flag) => flag !== "sd").join(" ");
  }
  return mappings;
}

function addFdinfo(facts: Map<string, string>, pid: number, fd: string, proc: string): void {
  // An epoll lists its members in lines of one name, in any order.
  const many = new Map<string, string[]>();
  for (const line of text(`${proc}/fdinfo/${fd}`).split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim().replace(/\s+/g, " ");
    many.set(name, [...(many.get(name) ?? []), value]);
  }
  for (const [name, values] of many) {
    // The time left of a timerfd runs.
    if (name !== "it_value" && name !== "ticks") {
      facts.set(`${pid}/fdinfo/${fd}/${name}`, values.sort().join("\n"));
    }
  }
}

/** Names which only ever mean "the same object as there" are replaced by the order of appearance. */
function withoutIdentities(snapshot: Snapshot, orphaned: ReadonlySet<string>): Snapshot {
  const ordinals = new Map<string, number>();
  const ordinal = (identity: string) => {
    if (!ordinals.has(identity)) ordinals.set(identity, ordinals.size + 1);
    return `#${ordinals.get(identity)}`;
  };
  const root = snapshot.get("root");
  const facts = new Map<string, string>();
  for (const [path, value] of snapshot) {
    if (path === `${root}/stat/ppid` || path.endsWith("/status/PPid") && isRoot(path, root)) {
      continue;
    }
    // The inode of a descriptor is the file's where it has a name, and tells nothing where not.
    if (/\/fdinfo\/\d+\/(ino|mnt_id|eventfd-id|inotify-id)$/.test(path)) continue;
    if (/\/fd\/\d+$/.test(path)) {
      // A file without a name (O_TMPFILE) is called by its inode.
      const identity = /^(pipe|socket):\[\d+\]$|(?<=\/)#\d+(?= \(deleted\)$)/;
      facts.set(path, value.replace(identity, (all, kind) => (kind ?? "") + ordinal(all)));
    } else if (/\/map\/[^/]+\/file$/.test(path) && /\(deleted\)|^\/memfd:|^\/SYSV/.test(value)) {
      facts.set(path, value.replace(/\S+ \[\d+\]$/, (all) => ordinal(all)));
    } else if (/\/fdinfo\/\d+\/lock$/.test(path)) {
      // A deleted file is another inode; and whoever took a lock of an open file may have closed that since.
      const taker = orphaned.has(path)
        ? /^(\d+: \S+ \S+ \S+) -?\d+ /gm
        : /^(\d+: (?!POSIX )\S+ \S+ \S+) -?\d+ /gm;
      const inode = / [0-9a-f]+:[0-9a-f]+:\d+(?= \d+ (?:EOF|\d+)$)/gm;
      facts.set(path, value.replace(taker, "$1 ").replace(inode, ""));
    } else if (/\/fdinfo\/\d+\/tfd$/.test(path)) {
      facts.set(path, value.replace(/ pos:\S+ ino:\S+ sdev:\S+/g, ""));
    } else {
      facts.set(path, value);
    }
  }
  return facts;
}

/**
 * The facts of POSIX locks that a process has taken which is gone, and left to those who share its descriptor table: at
 * a restore one of them takes them.
 */
function locksOfOthers(snapshot: Snapshot): Set<string> {
  const live = [...snapshot.keys()].filter((path) => path.endsWith("/exe"));
  const pids = new Set(live.map((path) => path.split("/")[0]));
  const isOthers = (path: string, value: string) =>
    /\/fdinfo\/\d+\/lock$/.test(path) &&
    [...value.matchAll(/^\d+: POSIX \S+ \S+ (-?\d+) /gm)].some(([, pid]) => !pids.has(pid));
  return new Set([...snapshot].flatMap(([path, value]) => isOthers(path, value) ? [path] : []));
}

/** Hierarchies of cgroup v1 that other tests have made concern nobody who is in their root: they come and go. */
function withoutEmptyHierarchies(cgroup: string): string {
  return cgroup.replace(/^\d+:name=stasis-\d+:\/\n/gm, "");
}

function isRoot(path: string, root: string | undefined): boolean {
  return path.startsWith(`${root}/`);
}

function names(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map((entry) => entry.name).sort((a, b) =>
      Number(a) - Number(b)
    );
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    return `(${(error as Error).name})`;
  }
}

function link(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    return `(${(error as Error).name})`;
  }
}
