/** The bench still works: its smallest sizes, whatever the times are. */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import type { ChainRow } from "../../bench/chain.ts";
import type { Row } from "../../bench/comparison.ts";
import { ROW_NAMES, WARM } from "../../bench/table.ts";

const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

/** Runs the bench with the smallest sizes. @returns what it prints */
async function runSmallest(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", "--quiet", MAIN, ...args, "--smallest", "--json"],
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(code, 0, text(stderr));
  return JSON.parse(text(stdout));
}

Deno.test("the bench measures checkpoints one after the other", async () => {
  const { chain } = await runSmallest("chain") as { chain: ChainRow[] };
  const [whole, compared, tracked] = chain;
  for (const { title, totalMs } of chain) assert.ok(totalMs > 0, title);
  for (const row of [compared, tracked]) {
    assert.ok(row!.bytes! < whole!.bytes! / 4, `${row!.title}: ${row!.bytes} of ${whole!.bytes}`);
  }
});

Deno.test("the bench measures every row, against CRIU or the floors", async () => {
  const report = await runSmallest() as { rows: Row[]; criu: string | null; floors?: unknown };
  assert.deepEqual(report.rows.map(({ name }) => name), ROW_NAMES);
  for (const row of report.rows) {
    const cells = row.name === WARM ? [row.frozen] : [row.frozen, row.checkpoint, row.restore];
    for (const cell of cells) {
      assert.ok(cell!.stasis.median > 0, row.name);
      assert.equal(cell!.ratio !== undefined, report.criu !== null, row.name);
    }
  }
  assert.equal(report.floors !== undefined, report.criu === null);
});
