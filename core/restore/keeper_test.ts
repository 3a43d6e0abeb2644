import { deepEqual, equal } from "@std/assert";
import type { CallResult } from "../remote/program.ts";
import { Result } from "../remote/undo.ts";
import { keeping, renaming } from "./keeper.ts";

Deno.test("keeping() undoes where the root is dead, and does the rest where it lives", () => {
  const message = Uint8Array.of(1, 2);
  const { calls } = keeping([renaming("/new", "/old")], [
    { name: "socket", args: [16n, 3n, 12n] },
    { name: "sendto", args: [new Result(0), message, 2n, 0n, 0n, 0n] },
    { name: "close", args: [new Result(0)] },
  ]);
  deepEqual(calls.map(({ name, where }) => [name, where?.result.index, where?.least]), [
    ["ppoll", undefined, undefined],
    ["ppoll", undefined, undefined],
    ["renameat2", 1, 1n],
    ["exit_group", 1, 1n],
    ["socket", undefined, undefined],
    ["sendto", undefined, undefined],
    ["close", undefined, undefined],
    ["exit_group", undefined, undefined],
  ]);
  const [to] = calls[5]!.args;
  equal((to as CallResult).index, 4);
  deepEqual(calls[6]!.args, [to]);
});
