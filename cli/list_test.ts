import { deepEqual } from "@std/assert";
import { describeOwner } from "../jobs/records.ts";
import { storeLines } from "./list.ts";

Deno.test("storeLines() shows whose a store is, and its checkpoints", () => {
  const at = "2026-01-01T10:00:00.000Z";
  const info = {
    directory: "/jobs/7",
    owner: { kind: "run", command: ["make", "all"], directory: "/" },
    end: { code: 2, at },
    latest: 12,
    checkpoints: [
      { number: 9 },
      { number: 12, at, bytes: 2048, frozenMs: 7, totalMs: 9, tasks: 1, threads: 1, parent: 9 },
    ],
  } as const;
  deepEqual(storeLines(info, describeOwner), [
    "/jobs/7: make all",
    `ended with status 2 at ${at}`,
    "",
    "number  when                         size  stood still  parent",
    "     9  -                               -            -       -",
    `    12  ${at}  2.0 KiB       7.0 ms       9  latest`,
  ]);
});

Deno.test("storeLines() of a store with nothing in it", () => {
  deepEqual(storeLines({ directory: "/jobs/7", checkpoints: [] }, describeOwner), [
    "/jobs/7: nobody's yet",
    "no checkpoints",
  ]);
});
