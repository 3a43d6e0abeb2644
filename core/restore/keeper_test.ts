import { deepEqual, equal } from "@std/assert";
import { SIG } from "../linux/signals.ts";
import type { CallResult } from "../remote/program.ts";
import { Result } from "../remote/undo.ts";
import { keeping, renaming } from "./keeper.ts";

Deno.test("keeping() does the rest where the tree is to live, and else kills it and undoes what was done", () => {
  const message = Uint8Array.of(1, 2);
  const { calls } = keeping(2, [renaming("/new", "/old")], [
    { name: "socket", args: [16n, 3n, 12n] },
    { name: "sendto", args: [new Result(0), message, 2n, 0n, 0n, 0n] },
    { name: "close", args: [new Result(0)] },
  ]);
  deepEqual(calls.map(({ name, where }) => [name, where?.result.index, where?.least]), [
    ["ppoll", undefined, undefined],
    ["rt_sigtimedwait", undefined, undefined],
    ["socket", 1, 1n],
    ["sendto", 1, 1n],
    ["close", 1, 1n],
    ["exit_group", 1, 1n],
    ["pidfd_send_signal", undefined, undefined],
    ["pidfd_send_signal", undefined, undefined],
    ["ppoll", undefined, undefined],
    ["renameat2", 8, 1n],
    ["exit_group", undefined, undefined],
  ]);
  const [to] = calls[3]!.args;
  equal((to as CallResult).index, 2);
  deepEqual(calls[4]!.args, [to]);
  deepEqual([6, 7].map((index) => calls[index]!.args.slice(0, 2)), [[1, SIG.KILL], [2, SIG.KILL]]);
});
