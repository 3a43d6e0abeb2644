import assert from "@std/assert";
import { parseCommandLine } from "./command_line.ts";

Deno.test("parseCommandLine() takes everything where nothing is said", () => {
  const all = parseCommandLine([]);
  assert.equal(all.what, "table");
  assert.equal(all.rounds, 5);
  assert.ok(all.names.includes("small") && all.names.includes("huge"));
  assert.equal(parseCommandLine(["--smallest"]).rounds, 1);
  assert.equal(parseCommandLine(["growth"]).rounds, 3);
  assert.ok(parseCommandLine(["growth"]).names.includes("epolls"));
});

Deno.test("parseCommandLine() takes names, and refuses those that there are not", () => {
  assert.deepEqual(parseCommandLine(["files", "tree", "--rounds=9"]).names, ["files", "tree"]);
  assert.deepEqual(parseCommandLine(["growth", "epolls"]).names, ["epolls"]);
  assert.throws(() => parseCommandLine(["epolls"]), /no "epolls"/);
  assert.throws(() => parseCommandLine(["growth", "tree"]), /no "tree"/);
  assert.throws(() => parseCommandLine(["--rounds", "none"]), RangeError);
  assert.throws(() => parseCommandLine(["--unknown"]), RangeError);
});
