import { equal, match } from "@std/assert";
import { Registers, USER_CS, USER_DS } from "./registers.ts";

Deno.test("Registers know segments that a thread cannot be given", () => {
  const problem = (cs: bigint, ss: bigint) =>
    new Registers().set("cs", cs).set("ss", ss).segmentProblem;
  equal(problem(USER_CS, USER_DS), undefined);
  equal(problem(0x23n, USER_DS), "runs 32-bit code");
  equal(problem(0xffffn, USER_DS), "runs 32-bit code");
  for (const ss of [0n, 0x63n, 0xffffn, 0xffffffffffffffffn]) {
    match(problem(USER_CS, ss) ?? "", /stack segment of its own/);
  }
});
