/** Every subject passes when nothing at all is done to it: what fails later is the tool's doing. */

import assert from "@std/assert";
import { subjectNames } from "./build.ts";
import { skip } from "./skip.ts";
import { Subject } from "./subject.ts";
import { allVariants, variantName, VARIANTS } from "./variants.ts";

Deno.test("VARIANTS names every subject", async () => {
  assert.deepEqual(Object.keys(VARIANTS).sort(), await subjectNames());
});

for (const { name, args } of allVariants()) {
  Deno.test(`${variantName(name, args)} passes when left alone`, async (t) => {
    await using subject = await Subject.start(name, { args });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const verdict = await subject.expectPass();
    assert.ok(verdict.ok.length > 0, "it looked at nothing");
  });
}
