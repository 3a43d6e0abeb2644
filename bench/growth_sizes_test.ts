import assert from "@std/assert";
import { fit, type Limits } from "./growth_sizes.ts";

const LIMITS: Limits = {
  descriptors: 20_000,
  mappings: 65_530,
  tasks: 30_000,
  memory: 16 * 2 ** 30,
  overcommit: true,
};

Deno.test("fit() takes what is wanted where it fits", () => {
  const many = { ...LIMITS, descriptors: 1_048_576 };
  assert.deepEqual(fit(60_000, { descriptors: 1, memory: 1000 }, many), {
    size: 60_000,
    processes: 1,
    reason: undefined,
  });
});

Deno.test("fit() needs one process for what a process may have any number of", () => {
  assert.equal(fit(10_000, { tasks: 1, memory: 1000 }, LIMITS).processes, 1);
});

Deno.test("fit() has several processes share what one may not have", () => {
  const { size, processes, reason } = fit(60_000, { descriptors: 1, memory: 1000 }, LIMITS);
  assert.equal(processes, 7);
  assert.equal(size, 59_990);
  assert.equal(reason, undefined);
});

Deno.test("fit() says why it takes less", () => {
  const one = { descriptors: 2, memory: 1000, isOne: true };
  assert.deepEqual(fit(10_000, one, LIMITS), {
    size: 4500,
    processes: 1,
    reason: "the hard limit of open files (ulimit -Hn)",
  });
  const tree = { tasks: 1, memory: 1 << 20, isProcess: true };
  assert.equal(fit(3000, tree, { ...LIMITS, tasks: 1000 }).size, 700);
  assert.match(fit(3000, tree, { ...LIMITS, memory: 2 ** 30 }).reason!, /memory/);
  const reserved = { memory: 0, reserves: true, isOne: true };
  assert.equal(fit(65_536, reserved, { ...LIMITS, overcommit: false }).size, 0);
  assert.equal(fit(65_536, reserved, LIMITS).size, 65_530);
});
