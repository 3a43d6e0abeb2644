import { deepEqual, equal } from "@std/assert";
import { isExternalSysv, mayHaveUsed, sysvName, sysvOwner, type SysvTree } from "./sysv_owners.ts";

const TREE: SysvTree = { pids: new Set([10, 11]), uids: new Set([1000]), since: 500 };
const OBJECT = { cuid: 1000, changed: 600 };
const lives = (pid: number): boolean => pid === 99;

Deno.test("sysvOwner() gives an object to the tree whose tasks have used it", () => {
  deepEqual(sysvOwner(OBJECT, [0, 11], false, TREE, lives), { whose: "tree", outside: [] });
  deepEqual(sysvOwner(OBJECT, [77], true, TREE, lives), { whose: "tree", outside: [] });
  deepEqual(sysvOwner({ cuid: 0, changed: 1 }, [10, 77], false, TREE, lives), {
    whose: "tree",
    outside: [],
  });
});

Deno.test("sysvOwner() names who outside of the tree uses an object, too", () => {
  deepEqual(sysvOwner(OBJECT, [10, 99, 99], false, TREE, lives), {
    whose: "shared",
    outside: [99],
  });
  deepEqual(sysvOwner(OBJECT, [99], true, TREE, lives), { whose: "shared", outside: [99] });
  deepEqual(sysvOwner({ ...OBJECT, cuid: 1 }, [99], false, TREE, lives), {
    whose: "stranger",
    outside: [99],
  });
  deepEqual(sysvOwner(OBJECT, [99], false, TREE, lives), { whose: "unknown", outside: [99] });
});

Deno.test("sysvOwner() takes nothing that nobody is known to use, even if the tree can have made it", () => {
  deepEqual(sysvOwner(OBJECT, [77], false, TREE, lives), { whose: "unknown", outside: [] });
  deepEqual(sysvOwner(OBJECT, [], false, TREE, lives), { whose: "unknown", outside: [] });
  deepEqual(sysvOwner({ cuid: 0, changed: 600 }, [], false, TREE, lives), {
    whose: "stranger",
    outside: [],
  });
  deepEqual(sysvOwner({ cuid: 1000, changed: 499 }, [], false, TREE, lives), {
    whose: "stranger",
    outside: [],
  });
});

Deno.test("sysvOwner() takes no memory that was made in another pid namespace, unless the tree has used it", () => {
  const made = { ...OBJECT, creator: 0 };
  deepEqual(sysvOwner(made, [0, 0], false, TREE, lives), { whose: "stranger", outside: [] });
  deepEqual(sysvOwner(made, [0, 77], false, TREE, lives), { whose: "stranger", outside: [] });
  deepEqual(sysvOwner(made, [0, 99], false, TREE, lives), { whose: "stranger", outside: [99] });
  deepEqual(sysvOwner(made, [0, 11], false, TREE, lives), { whose: "tree", outside: [] });
  deepEqual(sysvOwner(made, [], true, TREE, lives), { whose: "tree", outside: [] });
  const ended = { ...OBJECT, creator: 77 };
  deepEqual(sysvOwner(ended, [77, 0], false, TREE, lives), { whose: "unknown", outside: [] });
});

Deno.test("mayHaveUsed() knows processes that have begun too late", () => {
  const now = Date.now() / 1000;
  equal(mayHaveUsed(Deno.pid, now), true);
  equal(mayHaveUsed(Deno.pid, 1000), false);
  equal(mayHaveUsed(0x7fff_ffff, now), false);
});

Deno.test("sysvName() and isExternalSysv() say which object is meant", () => {
  equal(sysvName("shm", { id: 5, key: 0xff }), "the System V shared memory 5 (key 0xff)");
  equal(sysvName("sem", { id: 5, key: 0 }), "the System V semaphores 5 (private)");
  equal(isExternalSysv({ external: ["msg[3]"] }, "msg", 3), true);
  equal(isExternalSysv({ external: ["msg[3]"] }, "sem", 3), false);
  equal(isExternalSysv({}, "sem", 3), false);
});
