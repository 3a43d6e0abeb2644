import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, match, throws } from "@std/assert";
import type { FileValidation, OperationOptions } from "../../core/plugin.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { reg_file_entrySchema } from "../../images/gen/paths_pb.ts";
import { pstree_entrySchema } from "../../images/gen/tree_pb.ts";
import { checkFiles, type Found, refuseFifo, type Surroundings } from "./load.ts";

const REGULAR = 0o100644;

function check(
  files: { name: string; mode?: number; size?: bigint; ext?: boolean; buildId?: number[] }[],
  machine: Record<string, Found>,
  options: OperationOptions = {},
  surroundings: Surroundings = {},
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
    { look: (path) => machine[path] ?? "ENOENT", ...surroundings },
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
  deepEqual(check([{ name: "/group/tasks" }, { name: "/gone" }], {}, {}, { isMade }), [
    "the file /gone does not exist",
  ]);
});

Deno.test("checkFiles() tells contents of the same size by what the user wants", () => {
  const machine = { "/lib": { mode: REGULAR, size: 5n } };
  const file = { name: "/lib", mode: REGULAR, size: 5n };
  const built = { ...file, buildId: [0x04030201] };
  const same = { buildId: () => Uint8Array.of(1, 2, 3, 4), modifiedAt: () => 7n };
  const other = { buildId: () => Uint8Array.of(1, 2, 3, 5), modifiedAt: () => 8_000_000n };
  const savedTimes = new Map([[1, 7n]]);
  const told = (
    one: typeof file & { buildId?: number[] },
    fileValidation: FileValidation | undefined,
    surroundings: Surroundings,
  ) => check([one], machine, { fileValidation }, surroundings)[0];
  for (const validation of ["buildid", undefined] as const) {
    equal(told(built, validation, same), undefined);
    match(told(built, validation, other) ?? "", /another build of the same size/);
    match(told(built, validation, { ...same, buildId: () => undefined }) ?? "", /another build/);
    // Without a build id the time tells, if the images have it.
    equal(told(file, validation, { ...same, savedTimes }), undefined);
    match(
      told(file, validation, { ...other, savedTimes }) ?? "",
      /modified at 1970-01-01T00:00:00.008000000Z and at 1970-01-01T00:00:00.000000007Z/,
    );
  }
  // Nobody is told that a file is as it was whose contents were to be compared and cannot be.
  equal(told(file, undefined, other), undefined);
  match(told(file, "buildid", other) ?? "", /the checkpoint has saved no build ids/);
  equal(told(built, "mtime", { ...same, savedTimes }), undefined);
  match(told(built, "mtime", { ...other, savedTimes }) ?? "", /last modified/);
  match(told(built, "mtime", same) ?? "", /the checkpoint has saved no times/);
  equal(told(built, "size", { ...other, savedTimes }), undefined);
  equal(told(built, "none", { ...other, savedTimes }), undefined);
});

Deno.test("checkFiles() compares whole seconds where an archive has kept no more", () => {
  const machine = { "/lib": { mode: REGULAR, size: 5n } };
  const differ = (saved: bigint, now: bigint) =>
    check([{ name: "/lib", mode: REGULAR, size: 5n }], machine, {}, {
      savedTimes: new Map([[1, saved]]),
      modifiedAt: () => now,
    }).length > 0;
  const second = 1_000_000_000n;
  equal(differ(5n * second + 338n, 5n * second), false);
  equal(differ(5n * second, 5n * second + 338n), false);
  equal(differ(5n * second, 6n * second), true);
  equal(differ(5n * second + 338n, 5n * second + 339n), true);
});

Deno.test("refuseFifo() lets nobody wait for the other end of one", () => {
  const fifo = () => ({ mode: 0o010600, size: 0n });
  for (const mode of [0, 0o010644]) {
    throws(() => refuseFifo({ flags: 1, mode }, "/x", fifo), { code: "bad-image" });
    // O_PATH opens none.
    refuseFifo({ flags: 0o10000000, mode }, "/x", fifo);
    for (const found of [{ mode: REGULAR, size: 0n }, "ENOENT"]) {
      refuseFifo({ flags: 1, mode }, "/x", () => found);
    }
  }
  refuseFifo({ flags: 1, mode: REGULAR }, "/x", () => {
    throw new Error("that has been looked at");
  });
});
