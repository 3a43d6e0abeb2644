import assert from "@std/assert";
import { type BenchOptions, parseCommandLine } from "./command_line.ts";

function options(args: readonly string[]): BenchOptions {
  const found = parseCommandLine(args);
  if (found === undefined) throw new Error("it asks how it is used");
  return found;
}

Deno.test("parseCommandLine() takes everything where nothing is said", () => {
  const all = options([]);
  assert.equal(all.what, "table");
  assert.equal(all.rounds, 5);
  assert.ok(all.names.includes("small") && all.names.includes("huge"));
  assert.equal(options(["--smallest"]).rounds, 1);
  assert.equal(options(["growth"]).rounds, 3);
  assert.ok(options(["growth"]).names.includes("epolls"));
});

Deno.test("parseCommandLine() takes names, and refuses those that there are not", () => {
  assert.deepEqual(options(["files", "tree", "--rounds=9"]).names, ["files", "tree"]);
  assert.equal(options(["chain", "--mib", "4096"]).mib, 4096);
  assert.throws(() => parseCommandLine(["chain", "--mib", "0.5"]), RangeError);
  assert.deepEqual(options(["growth", "epolls"]).names, ["epolls"]);
  assert.throws(() => parseCommandLine(["epolls"]), /no "epolls"/);
  assert.throws(() => parseCommandLine(["growth", "tree"]), /no "tree"/);
  assert.throws(() => parseCommandLine(["--rounds", "none"]), RangeError);
  assert.throws(() => parseCommandLine(["--unknown"]), RangeError);
});

Deno.test("parseCommandLine() has nothing where it is asked how it is used", () => {
  assert.equal(parseCommandLine(["growth", "--help"]), undefined);
  assert.equal(parseCommandLine(["-h"]), undefined);
});
