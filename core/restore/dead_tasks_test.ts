import { deepEqual, match } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { absentTaskIds, deadTaskProblems, openDead } from "./dead_tasks.ts";

Deno.test("openDead() keeps files under their numbers, and sets positions while the task is there", () => {
  const program = openDead(7, [
    { path: "/proc/7", flags: 0o200000, pos: 0n, service: 100 },
    { path: "/proc/7/status", flags: 0, pos: 5n, service: 101 },
  ]);
  deepEqual(program.calls.map(({ name, required }) => `${name}${required ? "" : "?"}`), [
    "openat",
    "dup3",
    "close",
    "openat",
    "lseek?",
    "dup3",
    "close",
  ]);
});

Deno.test("deadTaskProblems() names ids that others must have while the tree is born", () => {
  deepEqual(deadTaskProblems([7, 8], new Set([5, 6]), 5), []);
  const [taken, ...more] = deadTaskProblems([7, 8, 8], new Set([5, 6, 8]), 5);
  deepEqual([taken?.pid, more], [8, []]);
  match(taken?.what ?? "", /another one must have that id/);
});

Deno.test("deadTaskProblems() has no id for anybody before a root that is process 1", () => {
  const problems = deadTaskProblems([7, 8], new Set([1]), 1);
  deepEqual(problems.map(({ pid }) => pid), [7, 8]);
  match(problems[0]?.what ?? "", /process 1/);
});

Deno.test("absentTaskIds() tells of files of tasks outside of the tree that are not there", () => {
  const gone = (1 << 22) - 1;
  const paths = new Map([
    [1, `/proc/${gone}/status`],
    [2, `/proc/${gone}`],
    [3, `/proc/${Deno.pid}/stat`],
    [4, "/proc/7/maps"],
    [5, "/proc/sys/kernel/pid_max"],
    [6, "/proc/1/stat"],
    [7, "/proc/99999999/stat"],
    [8, `/tmp/proc/${gone}/stat`],
  ]);
  const files = [...paths.keys()].map((id) => create(file_entrySchema, { id, reg: { id } }));
  const told = (isApart: boolean) =>
    absentTaskIds(files, (id) => paths.get(id) as string, new Set([7]), isApart);
  deepEqual([...told(false)], [[1, gone], [2, gone]]);
  deepEqual([...told(true)], [[1, gone], [2, gone], [3, Deno.pid]]);
});
