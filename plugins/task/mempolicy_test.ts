import { deepEqual, equal } from "@std/assert";
import { SyscallProgram } from "../../core/remote/program.ts";
import { type Mempolicy, planMempolicy, readMempolicy } from "./mempolicy.ts";

const BIND = 2, LOCAL = 4;

function callsOf(policy: Mempolicy | undefined, inherited?: Mempolicy): string[] {
  const program = new SyscallProgram("policy");
  planMempolicy(program, policy, inherited);
  return program.calls.map(({ name, args }) =>
    `${name} ${args.map((arg) => typeof arg === "number" ? arg : "mask").join(" ")}`
  );
}

Deno.test("planMempolicy() makes no call where there is none to set or to take away", () => {
  deepEqual(callsOf(undefined), []);
});

Deno.test("planMempolicy() sets a policy with its nodes, and takes away an inherited one", () => {
  deepEqual(callsOf({ mode: BIND, nodes: [0, 1] }), ["set_mempolicy 2 mask 1025"]);
  deepEqual(callsOf({ mode: LOCAL, nodes: [] }), ["set_mempolicy 4 0 0"]);
  deepEqual(callsOf(undefined, { mode: BIND, nodes: [0] }), ["set_mempolicy 0 0 0"]);
});

Deno.test("readMempolicy() tells of none in a process that was started without", () => {
  equal(readMempolicy(), undefined);
});
