import { deepEqual, equal } from "@std/assert";
import type { InspectedImages, TaskInfo, ThreadInfo } from "../inspect/model.ts";
import { diffTrees, type TaskDiff } from "./changes.ts";
import { describeDiff } from "./text.ts";

const thread = (tid: number, more: Partial<ThreadInfo> = {}): ThreadInfo => ({
  tid,
  comm: `t${tid}`,
  ip: "0x1000",
  sud: null,
  ...more,
});
const mapping = (start: number, end: number, name: string, permissions = "rw-p") => ({
  start: `0x${start.toString(16)}`,
  end: `0x${end.toString(16)}`,
  size: BigInt(end - start),
  permissions,
  name,
  offset: 0n,
});
const descriptor = (fd: number, what: string) => ({
  fd,
  kind: "file",
  what,
  closeOnExec: false,
  id: fd,
});
const task = (pid: number, more: Partial<TaskInfo> = {}): TaskInfo => ({
  pid,
  ppid: 0,
  pgid: pid,
  sid: pid,
  comm: `p${pid}`,
  state: "alive",
  threads: [thread(pid)],
  descriptors: [],
  mappings: [],
  mappedBytes: 0n,
  savedBytes: 0n,
  parentBytes: 0n,
  ...more,
});
const images = (directory: string, ...tasks: TaskInfo[]): InspectedImages => ({
  directory,
  version: 1,
  plugins: [],
  tasks,
  images: [],
  size: 0n,
});
const onlyChange = (before: TaskInfo, after: TaskInfo): TaskDiff => {
  const { changed } = diffTrees(images("a", before), images("b", after), () => []);
  equal(changed.length, 1);
  return changed[0] as TaskDiff;
};

Deno.test("diffTrees() finds processes that have begun and ended, and says nothing of equal ones", () => {
  const found = diffTrees(
    images("a", task(1), task(2)),
    images("b", task(1), task(3)),
    () => [],
  );
  deepEqual(found.ended, [{ id: 2, name: "p2" }]);
  deepEqual(found.begun, [{ id: 3, name: "p3" }]);
  deepEqual(found.changed, []);
});

Deno.test("diffTrees() tells of threads, dispatch and signals", () => {
  const sud = { mode: "exclusive", selector: "0x5000", offset: "0x0", length: 0n } as const;
  const { threads, changes } = onlyChange(
    task(1, {
      threads: [thread(1), thread(2), thread(3)],
      actions: [{ signal: "SIGINT", what: "ignored" }],
      timers: ["ITIMER_REAL  due in 1.000 s"],
    }),
    task(1, {
      threads: [thread(1), thread(3, { sud, blocked: ["SIGINT"] }), thread(4)],
      actions: [{ signal: "SIGINT", what: "0x4000" }, { signal: "SIGHUP", what: "ignored" }],
      timers: ["ITIMER_REAL  due in 0.500 s"],
      pgid: 9,
    }),
  );
  deepEqual(threads.ended, [{ id: 2, name: "t2" }]);
  deepEqual(threads.begun, [{ id: 4, name: "t4" }]);
  deepEqual(threads.changed, [{
    tid: 3,
    changes: [
      {
        what: "dispatch",
        before: "SUD off",
        after: "SUD exclusive, empty range, selector 0x5000",
      },
      { what: "blocked signals", before: undefined, after: "SIGINT" },
    ],
  }]);
  deepEqual(changes, [
    { what: "group", before: "1", after: "9" },
    { what: "action on SIGHUP", after: "ignored" },
    { what: "action on SIGINT", before: "ignored", after: "0x4000" },
    { what: "ITIMER_REAL", before: "due in 1.000 s", after: "due in 0.500 s" },
  ]);
});

Deno.test("diffTrees() compares what filters say, not their numbers, which are of one directory", () => {
  const filter = (line: string) => ({ instructions: 1, flags: "", code: [line] });
  const one = task(1, { threads: [thread(1, { seccomp: "filter", filters: [0] })] });
  const other = task(1, { threads: [thread(1, { seccomp: "filter", filters: [1] })] });
  const same = diffTrees(
    { ...images("a", one), filters: [filter("allow")] },
    { ...images("b", other), filters: [filter("kill"), filter("allow")] },
    () => [],
  );
  deepEqual(same.changed, []);
  const another = diffTrees(
    { ...images("a", one), filters: [filter("allow")] },
    { ...images("b", one), filters: [filter("kill")] },
    () => [],
  );
  deepEqual(another.changed[0]?.threads.changed[0]?.changes.map(({ what }) => what), [
    "code of the filters",
  ]);
});

Deno.test("diffTrees() tells of descriptors, and of mappings that grew from those that are others", () => {
  const { descriptors, mappings } = onlyChange(
    task(1, {
      descriptors: [descriptor(3, "/a  write at 1"), descriptor(4, "/b"), descriptor(5, "/c")],
      mappings: [
        mapping(0x1000, 0x2000, "[heap]"),
        mapping(0x8000, 0x9000, "[stack]"),
        mapping(0x4000, 0x5000, "/lib"),
        mapping(0x6000, 0x7000, "", "---p"),
      ],
    }),
    task(1, {
      descriptors: [descriptor(3, "/a  write at 9"), descriptor(5, "/c"), descriptor(6, "/d")],
      mappings: [
        mapping(0x1000, 0x3000, "[heap]"),
        mapping(0x7000, 0x9000, "[stack]"),
        mapping(0x6000, 0x7000, "", "rw-p"),
        mapping(0xa000, 0xb000, "/lib"),
      ],
    }),
  );
  deepEqual(descriptors, {
    closed: [{ fd: 4, what: "file  /b" }],
    opened: [{ fd: 6, what: "file  /d" }],
    changed: [{ fd: 3, before: "file  /a  write at 1", after: "file  /a  write at 9" }],
  });
  deepEqual(mappings.unmapped.map(({ start }) => start), ["0x4000"]);
  deepEqual(mappings.mapped.map(({ start }) => start), ["0xa000"]);
  deepEqual(
    mappings.changed.map(({ before, after }) => [before, after].map((one) => one.start)),
    [["0x1000", "0x1000"], ["0x6000", "0x6000"], ["0x8000", "0x7000"]],
  );
});

Deno.test("describeDiff() is one line a change, and shows no escape sequence of a program", () => {
  const pages = [{ mapping: mapping(0x1000, 0x3000, "[heap]"), changed: 1, saved: 2 }];
  const found = diffTrees(
    images("a", task(1, { mappings: [mapping(0x1000, 0x3000, "[heap]")] }), task(2)),
    images("b", task(1, { comm: "\x1b[31m" }), task(3)),
    () => pages,
  );
  deepEqual(describeDiff(found, false), [
    "a -> b: 1 process changed, 1 begun, 1 ended",
    "- process 2 p2",
    "+ process 3 p3",
    "",
    "1 \\x1b[31m",
    "  name: p1 -> \\x1b[31m",
    "  - mapping 1000-3000 rw-p  [heap]",
    "  pages: 1 changed, 2 saved, of 1000-3000  [heap]",
  ]);
  const same = diffTrees(images("a", task(1)), images("b", task(1)), () => []);
  deepEqual(describeDiff(same, false), [
    "a and b: no difference in processes, threads, descriptors, mappings, saved pages and System V objects",
  ]);
});
