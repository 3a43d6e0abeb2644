import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import type { OperationOptions } from "../../core/plugin.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { reg_file_entrySchema } from "../../images/gen/paths_pb.ts";
import { pstree_entrySchema } from "../../images/gen/tree_pb.ts";
import { checkFiles, type Found } from "./load.ts";

const REGULAR = 0o100644;

function check(
  files: { name: string; mode?: number; size?: bigint; ext?: boolean }[],
  machine: Record<string, Found>,
  options: OperationOptions = {},
  isMade?: (path: string) => boolean,
): string[] {
  const problems: string[] = [];
  const tasks = [
    create(pstree_entrySchema, { pid: 77, ppid: 0, pgid: 77, sid: 77, threads: [77] }),
  ];
  checkFiles(
    files.map((file, index) =>
      create(reg_file_entrySchema, { id: index + 1, flags: 0, pos: 0n, fown: NO_OWNER, ...file })
    ),
    { tasks, problem: ({ what }) => void problems.push(what) },
    options,
    (path) => machine[path] ?? "ENOENT",
    isMade,
  );
  return problems;
}

Deno.test("checkFiles() accepts what is as it was, and what has no size in the images", () => {
  const machine = { "/a": { mode: REGULAR, size: 5n }, "/log": { mode: REGULAR, size: 9n } };
  deepEqual(check([{ name: "/a", mode: REGULAR, size: 5n }, { name: "/log" }], machine), []);
});

Deno.test("checkFiles() reports all that is gone, of another type or size, each once", () => {
  const machine = { "/dir": { mode: 0o040755, size: 0n }, "/b": { mode: REGULAR, size: 1n } };
  const problems = check([
    { name: "/gone", mode: REGULAR, size: 0n },
    { name: "/gone", mode: REGULAR, size: 0n },
    { name: "/dir", mode: REGULAR },
    { name: "/b", mode: REGULAR, size: 0n },
  ], machine);
  deepEqual(problems, [
    "the file /gone does not exist",
    "/dir was a regular file and is a directory now",
    "the file /b has 1 bytes now and had 0 at the checkpoint",
  ]);
});

Deno.test("checkFiles() lets the user say that another size is no problem", () => {
  const machine = { "/b": { mode: REGULAR, size: 1n } };
  deepEqual(
    check([{ name: "/b", mode: REGULAR, size: 0n }], machine, { ignoreFileChange: true }),
    [],
  );
});

Deno.test("checkFiles() looks where the user moved a file", () => {
  const machine = { "/new": { mode: REGULAR, size: 1n } };
  const options = { remap: { "/old": "/new" } };
  deepEqual(check([{ name: "/old", mode: REGULAR, size: 1n }], machine, options), []);
  const [problem] = check([{ name: "/old", mode: REGULAR, size: 2n }], machine, options);
  equal(problem?.startsWith("the file /new (for /old) has 1 bytes"), true, problem);
});

Deno.test("checkFiles() knows that the files of a task of the tree come with the task", () => {
  deepEqual(check([{ name: "/proc/77/stat" }], {}), []);
  equal(check([{ name: "/proc/78/stat" }], {}).length, 1);
});

Deno.test("checkFiles() refuses files that CRIU left out", () => {
  equal(check([{ name: "file[1:2]", ext: true }], {}).length, 1);
});

Deno.test("checkFiles() looks for nothing in directories that are made before", () => {
  const isMade = (path: string) => path.startsWith("/group");
  deepEqual(check([{ name: "/group/tasks" }, { name: "/gone" }], {}, {}, isMade), [
    "the file /gone does not exist",
  ]);
});
