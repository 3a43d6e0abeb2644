import assert from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { pstree_entrySchema } from "./gen/tree_pb.ts";
import { StasisError } from "../base/errors.ts";
import { validateTree } from "./validate_tree.ts";

type Entry = [pid: number, ppid: number, pgid: number, sid: number, threads?: number[]];

function check(entries: readonly Entry[], dead: readonly number[] = []): string | undefined {
  const tasks = entries.map(([pid, ppid, pgid, sid, threads = [pid]]) =>
    create(pstree_entrySchema, { pid, ppid, pgid, sid, threads })
  );
  try {
    validateTree(tasks, (pid) => dead.includes(pid), "pstree.img");
    return undefined;
  } catch (error) {
    if (!(error instanceof StasisError) || error.code !== "bad-image") throw error;
    return error.message;
  }
}

Deno.test("validateTree() takes trees with threads, zombies and leaders outside", () => {
  assert.equal(
    check([[10, 0, 0, 0, [10, 11]], [12, 10, 10, 4194303], [13, 12, 13, 13, []]]),
    undefined,
  );
  assert.equal(check([[10, 0, 10, 10], [12, 10, 10, 10, [12, 99, 99, 0]]], [12]), undefined);
});

Deno.test("validateTree() refuses ids that the kernel never gives", () => {
  const limit = 1 << 22;
  assert.match(check([[0, 0, 1, 1]])!, /a task with the impossible id 0/);
  assert.match(check([[limit, 0, 1, 1]])!, /a task with the impossible id 4194304/);
  assert.match(
    check([[10, 0, 0xffffffff, 1]])!,
    /task 10 in a group with the impossible id 4294967295/,
  );
  assert.match(check([[10, 0, 1, 0xffffffff]])!, /task 10 in a session with the impossible id/);
  assert.match(check([[10, 0, 1, 1, [10, 0]]])!, /a thread with the impossible id 0/);
});

Deno.test("validateTree() refuses ids that are there twice", () => {
  assert.match(check([[10, 0, 1, 1], [10, 10, 1, 1]])!, /the id 10 of a task twice/);
  assert.match(check([[10, 0, 1, 1, [10, 11, 11]]])!, /the id 11 of a thread twice/);
  assert.match(check([[10, 0, 1, 1, [10, 10]]])!, /the id 10 of a thread twice/);
  assert.match(check([[10, 0, 1, 1, [10, 11]], [11, 10, 1, 1]])!, /the id 11 of a thread twice/);
});

Deno.test("validateTree() refuses families that cannot be", () => {
  assert.equal(check([]), "pstree.img has no task");
  assert.match(check([[10, 11, 1, 1], [11, 10, 1, 1]])!, /a root with a parent, task 11/);
  assert.match(check([[10, 0, 1, 1], [11, 12, 1, 1]])!, /task 11 before its parent 12/);
  assert.match(check([[10, 0, 1, 1], [11, 11, 1, 1]])!, /task 11 before its parent 11/);
  assert.match(check([[10, 0, 1, 1], [11, 10, 1, 1], [12, 11, 1, 1]], [11])!, /below a zombie/);
});
