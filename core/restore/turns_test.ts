import { deepEqual } from "@std/assert";
import { type Sharer, takingTurns } from "./turns.ts";

const task = (pid: number, shared: Partial<Sharer> = {}): Sharer => ({
  pid,
  filesOwner: pid,
  fsOwner: pid,
  memoryOwner: pid,
  ...shared,
});

function turns(...tasks: Sharer[]): number[][] {
  return takingTurns(tasks).map((group) => group.map(({ pid }) => pid));
}

Deno.test("takingTurns() leaves tasks that share nothing to work at the same time", () => {
  deepEqual(turns(task(1), task(2), task(3)), [[1], [2], [3]]);
});

Deno.test("takingTurns() has sharers of any object take turns in their order", () => {
  const shared = { filesOwner: 1 };
  deepEqual(turns(task(1), task(2, shared), task(3), task(4, shared)), [[1, 2, 4], [3]]);
  deepEqual(turns(task(1), task(2, { fsOwner: 1 }), task(3, { memoryOwner: 2 })), [[1, 2, 3]]);
});

Deno.test("takingTurns() joins groups that only a third task links", () => {
  const link = task(4, { filesOwner: 1, fsOwner: 3 });
  deepEqual(turns(task(1), task(2, { filesOwner: 1 }), task(3), link), [[1, 2, 3, 4]]);
});

Deno.test("takingTurns() stays quick where thousands share one table", () => {
  const many = Array.from({ length: 20_000 }, (_, pid) => task(pid + 1, { filesOwner: 1 }));
  deepEqual(turns(...many).length, 1);
});
