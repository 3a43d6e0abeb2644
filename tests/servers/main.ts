/**
 * `deno task test:servers [CYCLES [NAME]]`, as root: real servers, each with a client outside that never stops, are
 * checkpointed while they run on, then ended and restored; again and again, 200 times unless said otherwise.
 *
 * The client must see a pause and nothing worse, and the server must not grow. What the live tests need is installed
 * first; of the rest, servers of which the programs are not there are left out, and named. The exit status is 1 where
 * something is wrong.
 *
 * @module
 */
import { ensureTools } from "../../scripts/setup/ensure.ts";
import { TEST_TOOLS } from "../../scripts/setup/tools.ts";
import { endure, missingPrograms } from "./endure.ts";
import { TRIALS } from "./trials.ts";

if (import.meta.main) {
  const cycles = Number(Deno.args[0] ?? 200);
  const wanted = Deno.args[1] ?? "";
  await ensureTools(TEST_TOOLS, (text) => console.log(`setup: ${text}`));
  for (const [name, trial] of Object.entries(TRIALS)) {
    if (!name.includes(wanted)) continue;
    const missing = missingPrograms(trial);
    if (missing.length > 0) {
      console.log(`SKIPPED ${name}: there is no ${missing.join(", ")}`);
      continue;
    }
    try {
      const steps = await endure(name, trial, cycles);
      console.log(`ok ${name}: ${cycles} cycles, ${steps} steps of the client`);
    } catch (error) {
      console.log(`FAILED ${name}: ${error instanceof Error ? error.message : error}`);
      Deno.exitCode = 1;
    }
  }
}
