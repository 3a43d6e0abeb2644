import { deepEqual, equal, throws } from "node:assert/strict";
import { formatCall } from "./format_call.ts";
import { SyscallProgram } from "./program.ts";
import { SharedCalls } from "./shared_calls.ts";

const lines = (program: SyscallProgram) => program.readonlyCalls.map((call) => formatCall(call));

Deno.test("SharedCalls plans once what is wanted twice, and keeps it once", () => {
  const shared = new SharedCalls();
  let planned = 0;
  const programs = [7n, 7n, 8n].map((id) => {
    const program = new SyscallProgram(`thread ${id}`);
    shared.add(program, { id, bytes: Uint8Array.of(1) }, (one) => {
      planned++;
      one.call("close", id);
    });
    return program;
  });
  equal(planned, 2);
  deepEqual(programs.map(lines), [["close(7)"], ["close(7)"], ["close(8)"]]);
  equal(programs[0]!.readonlyCalls[0], programs[1]!.readonlyCalls[0]);
});

Deno.test("SharedCalls lets the calls of one program be edited without those of others", () => {
  const shared = new SharedCalls();
  const [one, other] = ["one", "other"].map((purpose) => {
    const program = new SyscallProgram(purpose);
    shared.add(program, 1, (fresh) => void fresh.call("close", 1));
    program.call("close", 2);
    return program;
  }) as [SyscallProgram, SyscallProgram];
  one.calls[0]!.args = [5];
  one.calls[1]!.args = [6];
  deepEqual(lines(one), ["close(5)", "close(6)"]);
  deepEqual(lines(other), ["close(1)", "close(2)"]);
  const third = new SyscallProgram("third");
  shared.add(third, 1, () => {});
  deepEqual(lines(third), ["close(1)"]);
});

Deno.test("SyscallProgram.share() takes no calls that take results where these are counted otherwise", () => {
  const calls = new SyscallProgram("a file");
  calls.call("close", calls.call("dup", 1));
  const first = new SyscallProgram("first");
  first.share(calls.readonlyCalls);
  deepEqual(lines(first), ["dup(1)", "close($0)"]);
  const second = new SyscallProgram("second");
  second.call("getpid");
  throws(() => second.share(calls.readonlyCalls), /cannot share calls that take results/);
});
