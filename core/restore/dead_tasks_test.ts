import { deepEqual } from "@std/assert";
import { openDead } from "./dead_tasks.ts";

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
