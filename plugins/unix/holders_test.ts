import { deepEqual, equal } from "@std/assert";
import type { Task } from "../../core/checkpoint/task.ts";
import { commonIdentity } from "./holders.ts";

const holder = (pid: number, uid: number, groups: number[] = []) =>
  ({ pid, status: { uids: [0, uid, 0, 0], gids: [0, 5, 0, 0], groups } }) as unknown as Task;

Deno.test("commonIdentity() is what all holders have in common, by the first of them", () => {
  deepEqual(commonIdentity([holder(3, 1000, [4]), holder(7, 1000, [4])]), {
    pid: 3,
    uid: 1000,
    gid: 5,
    groups: [4],
  });
});

Deno.test("commonIdentity() is nothing where users or groups differ", () => {
  equal(commonIdentity([holder(3, 1000), holder(7, 0)]), undefined);
  equal(commonIdentity([holder(3, 0, [4]), holder(7, 0)]), undefined);
  equal(commonIdentity([]), undefined);
});
