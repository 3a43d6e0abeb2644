/**
 * Time and memory grow no faster than the size. Here with a few of each, which finds what is far worse;
 * `deno task test:growth` takes as many as the machine can have.
 */
import assert from "@std/assert";
import { GrowthBench, KINDS } from "../../bench/growth.ts";
import { adoptOrphans } from "../../bench/round.ts";
import { stasisTool } from "../../bench/tools.ts";
import { install } from "../../scripts/install.ts";
import { skip } from "../harness/skip.ts";

const isFull = Deno.env.get("STASIS_GROWTH") !== undefined;

Deno.test("time and memory grow no faster than the size", async (t) => {
  adoptOrphans();
  const home = await Deno.makeTempDir({ prefix: "stasis-growth-" });
  try {
    await install({ prefix: home, uninstall: false, force: false });
    const bench = new GrowthBench({
      tool: stasisTool(`${home}/bin/stasis`),
      attempts: 3,
      few: !isFull,
      home,
      progress: (text) => isFull && console.log(text),
    });
    for (const kind of KINDS) {
      await t.step(kind.title, async (t) => {
        const { size, reason, problems } = await bench.measure(kind);
        if (size === 0) return skip(t, `no ${kind.title}: ${reason}`);
        if (reason !== undefined) console.log(`only ${size} ${kind.title}: ${reason}`);
        assert.deepEqual(problems, []);
      });
    }
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
