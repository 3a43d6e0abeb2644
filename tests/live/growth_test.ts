/**
 * Time and memory grow no faster than the size. Here with a few of each, which finds what is far worse;
 * `deno task test:growth` takes as many as the machine can have.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import type { GrowthResult } from "../../bench/growth.ts";
import { skip } from "../harness/skip.ts";

const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));
const isFull = Deno.env.get("STASIS_GROWTH") !== undefined;

Deno.test("time and memory grow no faster than the size", async (t) => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-all", "--no-check", "--quiet", MAIN, "growth", "--json"],
      ...isFull ? [] : ["--smallest"],
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  assert.equal(code, 0);
  const { growth } = JSON.parse(new TextDecoder().decode(stdout)) as { growth: GrowthResult[] };
  assert.ok(growth.length > 0);
  for (const { kind, size, reason, problems } of growth) {
    await t.step(kind.title, (t) => {
      if (size === 0) return skip(t, `no ${kind.title}: ${reason}`);
      if (reason !== undefined) console.log(`ONLY ${size} ${kind.title}: ${reason}`);
      assert.deepEqual(problems, []);
    });
  }
});
