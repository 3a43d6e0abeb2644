import { deepEqual, equal } from "@std/assert";
import { formatCall } from "../remote/format_call.ts";
import { SyscallProgram } from "../remote/program.ts";
import { makerProgram, undoOf } from "./lasting_objects.ts";

const seed = new SyscallProgram("stage seed");
const queue = seed.call("mq_open", "queue", 0o302, 0o600, 0);
const set = seed.expect(7n, "semget", 0, 1, 0o600);
const removals = [
  { made: queue, name: "mq_unlink", args: ["queue"] },
  { made: set, name: "semctl", args: [set, 0, 0] },
] as const;

Deno.test("makerProgram() takes away behind the seed's calls what these have made", () => {
  const program = makerProgram(seed, removals);
  deepEqual(program.calls.slice(0, 2), seed.calls);
  const sequel = program.calls.slice(program.sequelAt);
  deepEqual(sequel.map((call) => formatCall(call).split("(")[0]), [
    "mq_unlink",
    "semctl",
    "exit_group",
  ]);
  deepEqual(sequel.map(({ where }) => where?.result), [queue, set, undefined]);
  equal(seed.calls.length, 2);
});

Deno.test("undoOf() tells the calls with what has become of the objects", () => {
  deepEqual(undoOf(removals, { result: ({ index }) => [3n, 7n][index] as bigint }), [
    { name: "mq_unlink", args: ["queue"] },
    { name: "semctl", args: [7n, 0, 0] },
  ]);
});
