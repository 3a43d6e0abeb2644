import { deepEqual, equal, match } from "@std/assert";
import type { SysvObject } from "../linux/procfs/mod.ts";
import { SysvHere } from "./sysv_objects.ts";

const DESC = { id: 32770, key: 0x1234, cuid: 1000, cgid: 100 };
const PRIVATE = { ...DESC, key: 0 };

function object(fields: Partial<SysvObject>): SysvObject {
  return { ...DESC, mode: 0o600, uid: 0, gid: 0, changed: 1, used: 0, ...fields };
}

/** Whether an object is found among these, and what is reported. */
function find(desc: typeof DESC, all: readonly SysvObject[], isSameBoot: boolean) {
  const problems: string[] = [];
  const found = new SysvHere("sem", all, isSameBoot).find(desc, {
    problem: ({ what }) => void problems.push(what),
  });
  return { found, problems };
}

Deno.test("SysvHere finds an object by its id, key and maker", () => {
  const one = object({});
  deepEqual(find(DESC, [object({ id: 1, key: 1 }), one], true), { found: one, problems: [] });
  deepEqual(find(DESC, [one], false), { found: one, problems: [] });
  deepEqual(find(DESC, [], true), { found: undefined, problems: [] });
  const secret = object({ key: 0 });
  deepEqual(find(PRIVATE, [secret], true), { found: secret, problems: [] });
});

Deno.test("SysvHere takes no private object of another boot, nor another maker's, for the one that was saved", () => {
  for (
    const [desc, one, isSameBoot] of [
      [PRIVATE, object({ key: 0 }), false],
      [PRIVATE, object({ key: 0, cuid: 0 }), true],
      [DESC, object({ cgid: 0 }), true],
      [DESC, object({ key: 0x1235 }), true],
      [DESC, object({ id: 2 }), true],
    ] as const
  ) {
    const { found, problems } = find(desc, [one], isSameBoot);
    equal(found, undefined);
    equal(problems.length, 1);
    match(problems[0] as string, /the place of the System V semaphores 32770 is taken/);
  }
});

Deno.test("SysvHere reports a key that another object has by now", () => {
  const { found, problems } = find(DESC, [object({ id: 3 })], true);
  equal(found, undefined);
  match(problems[0] as string, /the key 0x1234 .* belongs to another one, 3/);
});
