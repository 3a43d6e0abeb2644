/**
 * `deno task test`: everything that has to hold, and a summary whose last line counts the tests. One step comes after
 * the other, but for those of the VM: they are made beside the live tests, which mostly wait, and printed after them.
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
import { ALL_PACKAGES, ensurePackages } from "../kernel/packages.ts";
import { ensureTools } from "./setup/ensure.ts";
import { TEST_TOOLS, VM_TOOLS } from "./setup/tools.ts";
import { type Count, sum } from "./test/count.ts";
import { HeldOutput, type Output, TERMINAL } from "./test/output.ts";
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
  const say = (text: string) => console.log(`setup: ${text}`);
  await ensureTools([...tools], say);
  if (!steps.includes("live") || !steps.includes("kernel")) return;
  // Nobody's libraries change while the live tests run. What fails here, the step that wants it says again.
  await ensurePackages(ALL_PACKAGES, say).catch((error) => {
    if (!(error instanceof StasisError)) throw error;
  });
}

/** Makes some steps, one after the other. */
async function runSteps(
  steps: readonly Step[],
  words: readonly string[],
  output: Output,
): Promise<Done[]> {
  const root = new URL("../", import.meta.url).pathname;
  const done: Done[] = [];
  let built = true;
  for (const step of steps) {
    output.print(heading(TITLES[step]));
    const start = performance.now();
    const count: Count = step === "vm" && !built
      ? { ...NOTHING, failed: 1, failures: ["VM tests: there is no kernel to boot"] }
      : await runStep(step, { root, words, output });
    if (step === "kernel") built = count.failed === 0;
    const seconds = (performance.now() - start) / 1000;
    output.print(`${TITLES[step]}: ${seconds.toFixed(1)} s`);
    done.push({ title: TITLES[step], count, seconds });
  }
  return done;
}

function writeAll(bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/** Makes the live tests, and the steps of the VM beside them. */
async function runBeside(steps: readonly Step[], words: readonly string[]): Promise<Done[]> {
  const ofVm = (step: Step) => step === "kernel" || step === "vm";
  const live = steps.indexOf("live");
  if (live < 0 || !steps.some(ofVm)) return await runSteps(steps, words, TERMINAL);
  const done = await runSteps(steps.slice(0, live), words, TERMINAL);
  const held = new HeldOutput(writeAll);
  const beside = runSteps(steps.filter(ofVm), words, held);
  // What fails in one says so when both have ended.
  const ends = await Promise.allSettled([
    runSteps(["live"], words, TERMINAL).finally(() => held.release()),
    beside,
  ]);
  for (const end of ends) {
    if (end.status === "rejected") throw end.reason;
    done.push(...end.value);
  }
  return done;
}

function heading(text: string): string {
  return `\n=== ${text} ===`;
}

function summarize(done: readonly Done[]): number {
  const total = sum(done.map((one) => one.count));
  console.log(heading("summary"));
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
    await setUp(steps);
    Deno.exitCode = summarize(await runBeside(steps, words));
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
