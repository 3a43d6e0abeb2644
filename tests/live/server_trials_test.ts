/**
 * Each server of `deno task test:servers` once: left running, then ended and restored, while its client goes on.
 */
import { skip } from "../harness/skip.ts";
import { endure, missingPrograms } from "../servers/endure.ts";
import { TRIALS } from "../servers/trials.ts";

for (const [name, trial] of Object.entries(TRIALS)) {
  Deno.test(`${name}: its client sees a pause and nothing worse`, async (t) => {
    const missing = missingPrograms(trial);
    if (missing.length > 0) return skip(t, `${missing.join(", ")} is not installed`);
    await endure(name, trial, 1);
  });
}
