/**
 * Tests that find at run time that this machine has nothing to test them on: they say so to the test runner
 * (`scripts/test`), which counts them as skipped, and loudly on the terminal.
 *
 * @module
 */

/** Tells that a test was skipped. @param reason one sentence */
export function skip(test: Deno.TestContext, reason: string): void {
  console.log(`SKIPPED ${test.name}: ${reason}`);
  const file = Deno.env.get("STASIS_TEST_SKIPS");
  if (file === undefined) return;
  const line = JSON.stringify({ name: test.name, reason });
  Deno.writeTextFileSync(file, `${line}\n`, { append: true });
}
