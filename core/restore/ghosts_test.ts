import { equal } from "@std/assert";
import { freeName } from "./ghosts.ts";

Deno.test("freeName() takes the path itself where nobody has it", () => {
  equal(freeName("/a/b", 3, () => false), "/a/b");
});

Deno.test("freeName() finds a name beside one that is taken, and beside that", () => {
  const taken = new Set(["/a/b"]);
  equal(freeName("/a/b", 3, (path) => taken.has(path)), "/a/b.stasis-3");
  taken.add("/a/b.stasis-3");
  equal(freeName("/a/b", 3, (path) => taken.has(path)), "/a/b.stasis-3-1");
});
