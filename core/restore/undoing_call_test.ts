import { deepEqual, equal } from "@std/assert";
import { formatCall } from "../remote/format_call.ts";
import { SyscallProgram } from "../remote/program.ts";
import { addUndoing } from "./undoing_call.ts";

Deno.test("addUndoing() makes a call once, where the other one has succeeded", () => {
  const program = new SyscallProgram("undo");
  const result = program.try("getpid");
  addUndoing(program, { result, least: 1n }, { name: "mq_unlink", args: ["queue"] });
  deepEqual(program.calls.slice(1).map((call) => formatCall(call)), ['mq_unlink("queue")']);
  deepEqual(program.calls[1]?.where, { result, least: 1n });
});

Deno.test("addUndoing() removes a busy directory again and again, as long as it is there", () => {
  const program = new SyscallProgram("undo");
  const result = program.try("getpid");
  const removal = { name: "unlinkat", args: [-100, "/group", 0x200], busy: "/group" } as const;
  addUndoing(program, { result, least: 0n }, removal);
  const [first, look, wait, again] = program.calls.slice(1);
  deepEqual([first, look, wait, again].map((call) => call?.name), [
    "unlinkat",
    "faccessat",
    "nanosleep",
    "unlinkat",
  ]);
  // Nothing is waited for where it is gone.
  equal(wait?.where?.result.index, 2);
  equal(again?.where?.result.index, 2);
  equal(look?.where?.result, result);
});
