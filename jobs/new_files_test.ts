import { deepEqual, equal, match } from "@std/assert";
import { lookAtFile } from "./file_state.ts";
import { FilesBefore, isBornSince, judgeNewFile, seenOpen } from "./new_files.ts";
import type { NewFile } from "./records.ts";

const FOUND = { length: 9, mtime: 5n, ino: 7 };
const noted = (more: Partial<NewFile>): NewFile => ({
  path: "/x",
  length: 0,
  mtime: "0",
  ino: 7,
  append: true,
  reads: false,
  seen: true,
  ...more,
});
const judged = (more: Partial<NewFile>, found: Parameters<typeof judgeNewFile>[1]) =>
  judgeNewFile(noted(more), found, "buildid");

Deno.test("FilesBefore knows what the command line names, and what came to be since", () => {
  const room = Deno.makeTempDirSync({ prefix: "stasis-new-" });
  try {
    const path = (name: string) => `${room}/${name}`;
    Deno.writeTextFileSync(path("there"), "1234");
    Deno.symlinkSync(path("nowhere"), path("link"));
    const before = new FilesBefore(["program", ...["there", "missing", "link"].map(path), room]);
    deepEqual(before.missing.map((one) => one.path).filter((one) => one.startsWith(room)), [
      path("missing"),
    ]);
    equal(before.missing[0]?.seen, false);
    Deno.writeTextFileSync(path("there"), "56", { append: true });
    equal(before.of(path("there"))?.length, 4);
    equal(before.of(path("missing"))?.length, 0);
    for (const name of ["link", "other"]) equal(before.of(path(name)), undefined);
    equal(before.of(room), undefined);
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
});

Deno.test("lookAtFile() takes nothing but ENOENT for a file that is not there", () => {
  equal(lookAtFile("/no/such/file"), "missing");
  // ELOOP, ENOTDIR, ENAMETOOLONG; a directory, a device.
  for (const path of ["/etc/passwd/x", `/${"x".repeat(256)}`, "/", "/dev/null"]) {
    equal(lookAtFile(path), "unknown", path);
  }
});

Deno.test("judgeNewFile() empties what the job was seen to make, and nothing that others may have made", () => {
  deepEqual(judged({}, FOUND), { kind: "cut", cut: { path: "/x", length: 0n, found: 9n } });
  for (const found of ["missing", { ...FOUND, length: 0 }] as const) {
    for (const seen of [true, false]) equal(judged({ seen }, found).kind, "none");
  }
  const unseen = judged({ seen: false, ino: 0 }, FOUND);
  equal(unseen.kind, "note");
  match(JSON.stringify(unseen), /not seen to write it: it is left as it is/);
  equal(judged({}, { ...FOUND, ino: 8 }).kind, "note");
  equal(judged({}, "unknown").kind, "note");
});

Deno.test("judgeNewFile() cuts what was only appended to, and refuses what was written elsewhere", () => {
  const there = { length: 4, mtime: "3" };
  deepEqual(judged(there, FOUND), { kind: "cut", cut: { path: "/x", length: 4n, found: 9n } });
  const database = { ...there, append: false, reads: true };
  equal(judged({ ...database, mtime: "5" }, { ...FOUND, length: 4 }).kind, "none");
  for (
    const one of [
      judged(database, FOUND),
      judged(database, { ...FOUND, length: 4 }),
      judged(there, { ...FOUND, length: 3 }),
      judged(there, { ...FOUND, ino: 8 }),
      judged(there, "missing"),
    ]
  ) equal(one.kind, "problem");
  equal(judgeNewFile(noted(database), FOUND, "none").kind, "none");
});

Deno.test("judgeNewFile() leaves what the job writes from its beginning each time, and tells it", () => {
  const result = { length: 4, mtime: "3", append: false };
  for (const found of [FOUND, { ...FOUND, ino: 8 }, { ...FOUND, length: 1 }, "missing"] as const) {
    const verdict = judged(result, found);
    match(JSON.stringify(verdict), /written anew since the checkpoint: it is left as it is/);
  }
  equal(judged({ ...result, mtime: "5" }, FOUND).kind, "none");
});

Deno.test("seenOpen() holds a file for appended to as long as it is the same, and never written otherwise", () => {
  const open = { path: "/x", ino: 7, append: true, reads: false };
  const before = { length: 4, mtime: "3", ino: 7 };
  const first = seenOpen(open, before, undefined);
  deepEqual(first, noted({ length: 4, mtime: "3" }));
  equal(seenOpen({ ...open, append: false }, before, first).append, false);
  const otherwise = seenOpen({ ...open, append: false }, before, undefined);
  equal(seenOpen(open, before, otherwise).append, false);
  equal(seenOpen(open, before, { ...first, reads: true }).reads, true);
  equal(seenOpen({ ...open, ino: 8 }, before, undefined).append, false);
  equal(seenOpen({ ...open, ino: 8 }, before, first).append, false);
  // What was not there is as good as new, whatever file it is.
  const unseen = noted({ ino: 0, seen: false });
  equal(seenOpen(open, { length: 0, mtime: "0", ino: undefined }, unseen).append, true);
});

Deno.test("isBornSince() trusts no clock that is ahead", () => {
  equal(isBornSince(5, 4, 6), true);
  for (const born of [3, 4, 7]) equal(isBornSince(born, 4, 6), false);
});
