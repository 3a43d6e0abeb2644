import { deepEqual, equal, notEqual } from "@std/assert";
import { CallPool } from "./call_pool.ts";
import { SyscallProgram } from "./program.ts";

Deno.test("CallPool keeps the same call of many programs once, and no other", () => {
  const pool = new CallPool();
  const [one, other] = [1, 2].map(() => {
    const program = new SyscallProgram("test", pool);
    const path = program.call("openat", -100, "/tmp/file", 0n);
    program.call("close", path);
    program.call("close", 3);
    program.call("close", 3n);
    program.try("close", 3);
    program.expect(0n, "close", 3);
    program.call("read", 3, program.output(8), 8);
    return program;
  });
  const [first, second] = [one, other].map((program) => program!.readonlyCalls);
  deepEqual(first!.map((call, index) => call === second![index]), [
    ...[true, true, true, true, true, true, false],
  ]);
  equal(new Set(first).size, 7);
  notEqual(first![1], first![2]);
  deepEqual(
    first!.slice(2, 6).map(({ name, args, required, expect }) => [
      ...[name, ...args, required, expect],
    ]),
    [
      ["close", 3, true, undefined],
      ["close", 3n, true, undefined],
      ["close", 3, false, undefined],
      ["close", 3, true, 0n],
    ],
  );
});

Deno.test("A call that programs have in common is edited in one of them alone", () => {
  const pool = new CallPool();
  const [one, other] = [1, 2].map(() => {
    const program = new SyscallProgram("test", pool);
    program.call("close", 3);
    return program;
  }) as [SyscallProgram, SyscallProgram];
  one.calls[0]!.args = [4];
  one.call("close", 5);
  deepEqual(one.calls.map(({ args }) => args), [[4], [5]]);
  deepEqual(other.readonlyCalls.map(({ args }) => args), [[3]]);
  const third = new SyscallProgram("test", pool);
  third.call("close", 5);
  notEqual(one.calls[1], third.readonlyCalls[0]);
});
