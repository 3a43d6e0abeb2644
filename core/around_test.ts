import { deepEqual, rejects } from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { around } from "./around.ts";
import { definePlugin, type OperationHooks } from "./plugin.ts";

const operation = { pid: 1, directory: "/x", signal: new AbortController().signal };

/** Runs an operation between two plugins, of which each part may fail. @returns what was called and noted */
async function run(
  failing: string,
  expected: { message: string } | undefined,
  keepsResult = false,
): Promise<string[]> {
  const calls: string[] = [];
  const step = (name: string): void => {
    calls.push(name);
    if (failing.split(" ").includes(name)) throw new StasisError("io", `${name} failed`);
  };
  const plugin = (name: string) =>
    definePlugin({
      name,
      description: name,
      around: {
        beforeCheckpoint: () => step(`${name}<`),
        afterCheckpoint: (_, failure) => step(`${name}${failure === undefined ? ">" : "!"}`),
      },
    });
  const result = around([plugin("a"), plugin("b")], {
    before: (hooks: OperationHooks) => hooks.beforeCheckpoint?.(operation),
    after: (hooks, _, failure) => hooks.afterCheckpoint?.(operation, failure),
    note: (text) => void calls.push(`note: ${text}`),
    keepsResult,
  }, () => Promise.resolve(step("run")));
  if (expected === undefined) await result;
  else await rejects(() => result, expected);
  return calls;
}

Deno.test("around() calls hooks before in order, and those after in reverse", async () => {
  deepEqual(await run("", undefined), ["a<", "b<", "run", "b>", "a>"]);
});

Deno.test("around() has whoever was begun concluded, whatever fails", async () => {
  deepEqual(await run("b<", { message: "b< failed" }), ["a<", "b<", "b!", "a!"]);
  deepEqual(await run("a<", { message: "a< failed" }), ["a<", "a!"]);
  deepEqual(await run("run", { message: "run failed" }), ["a<", "b<", "run", "b!", "a!"]);
});

Deno.test("around() throws by what the first hook after fails, and notes the others", async () => {
  deepEqual(await run("b> a>", { message: "b> failed" }), [
    "a<",
    "b<",
    "run",
    "b>",
    "a>",
    "note: a> failed",
  ]);
  deepEqual((await run("b> a>", undefined, true)).slice(-2), [
    "note: b> failed",
    "note: a> failed",
  ]);
  deepEqual(await run("run b!", { message: "run failed" }), [
    "a<",
    "b<",
    "run",
    "b!",
    "a!",
    "note: b! failed",
  ]);
});
