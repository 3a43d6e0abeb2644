import assert from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { uniqueById } from "./unique.ts";

Deno.test("uniqueById() gives entries by their id", () => {
  const entries = [{ id: 7, name: "a" }, { id: 3, name: "b" }];
  const byId = uniqueById(entries, ({ id }) => id, "files.img", "file");
  assert.deepEqual([...byId], [[7, entries[0]], [3, entries[1]]]);
});

Deno.test("uniqueById() refuses two of one id, and says where", () => {
  const entries = [{ id: 7n }, { id: 3n }, { id: 7n }];
  assert.throws(
    () => uniqueById(entries, ({ id }) => id, "memfd.img", "inode"),
    (error: unknown) =>
      error instanceof StasisError && error.code === "bad-image" &&
      error.message === "memfd.img has inode 7 twice",
  );
});
