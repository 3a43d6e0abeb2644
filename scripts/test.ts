/**
 * `deno task test`: everything that has to hold, one step after the other, and a summary whose last line counts
 * the tests.
 *
 *     deno task test                           set-up and all steps
 *     deno run -A scripts/test.ts STEP...      these steps: fmt lint types unit live kernel vm
 *     deno task test:live FILE... [FILTER]     some files of one step, or tests by name
 *
 * The exit status is 0 where nothing failed, 1 where something did, 2 for arguments that make no sense.
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";
import { ensureTools } from "./setup/ensure.ts";
import { TEST_TOOLS, VM_TOOLS } from "./setup/tools.ts";
import { type Count, sum } from "./test/count.ts";
import { runStep, type Step, STEPS, TITLES } from "./test/steps.ts";

const NOTHING: Count = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };

interface Done {
  readonly title: string;
  readonly count: Count;
  readonly seconds: number;
}

/** Takes the steps that stand first; what follows them is for the last one. */
function parse(args: readonly string[]): { readonly steps: Step[]; readonly words: string[] } {
  const isStep = (word: string): word is Step => (STEPS as readonly string[]).includes(word);
  const end = args.findIndex((word) => !isStep(word));
  const steps = args.slice(0, end < 0 ? args.length : end).filter(isStep);
  const words = args.slice(steps.length).filter((word) => word !== "--");
  if (words.length > 0 && steps.length !== 1) {
    throw new RangeError(`"${words[0]}" is no step: there are ${STEPS.join(", ")}`);
  }
  // A VM wants a kernel to boot, and its time is better told by itself.
  if (steps.includes("vm") && !steps.includes("kernel")) {
    steps.splice(steps.indexOf("vm"), 0, "kernel");
  }
  return { steps: steps.length > 0 ? steps : [...STEPS], words };
}

async function setUp(steps: readonly Step[]): Promise<void> {
  if (Deno.uid() !== 0) return;
  const tools = new Set([
    ...(steps.includes("live") || steps.includes("vm") ? TEST_TOOLS : []),
    ...(steps.includes("vm") ? VM_TOOLS : []),
  ]);
  await ensureTools([...tools], (text) => console.log(`setup: ${text}`));
}

function heading(text: string): void {
  console.log(`\n=== ${text} ===`);
}

function summarize(done: readonly Done[]): number {
  const total = sum(done.map((one) => one.count));
  heading("summary");
  if (total.skips.length > 0) {
    console.log(`\nSKIPPED (${total.skips.length}), nothing was tested by:`);
    for (const line of total.skips) console.log(`  - ${line}`);
  }
  if (total.failures.length > 0) {
    console.log(`\nFAILED (${total.failures.length}):`);
    for (const line of total.failures) console.log(`  - ${line}`);
  }
  console.log("");
  for (const { title, count, seconds } of done) {
    const verdict = count.failed > 0 ? "FAILED" : "ok";
    const counts = `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`;
    console.log(
      `${title.padEnd(12)} ${verdict.padEnd(7)} ${seconds.toFixed(1).padStart(7)} s   ${counts}`,
    );
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed > 0 ? 1 : 0;
}

if (import.meta.main) {
  try {
    const { steps, words } = parse(Deno.args);
    const root = new URL("../", import.meta.url).pathname;
    await setUp(steps);
    const done: Done[] = [];
    let built = true;
    for (const step of steps) {
      heading(TITLES[step]);
      const start = performance.now();
      const count: Count = step === "vm" && !built
        ? { ...NOTHING, failed: 1, failures: ["VM tests: there is no kernel to boot"] }
        : await runStep(root, step, words);
      if (step === "kernel") built = count.failed === 0;
      const seconds = (performance.now() - start) / 1000;
      console.log(`${TITLES[step]}: ${seconds.toFixed(1)} s`);
      done.push({ title: TITLES[step], count, seconds });
    }
    Deno.exitCode = summarize(done);
  } catch (error) {
    if (error instanceof RangeError) {
      console.error(`test: ${error.message}`);
      Deno.exit(2);
    }
    if (!(error instanceof StasisError)) throw error;
    console.error(`test: ${error.message}${error.hint ? `\nhint: ${error.hint}` : ""}`);
    console.log("0 passed, 1 failed, 0 skipped");
    Deno.exit(error.exitStatus);
  }
}
