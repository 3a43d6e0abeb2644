/** The subjects of SUD and the emulator can fail: they notice a dispatch that was lost. */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { buildProgram, buildSubject } from "./build.ts";
import { readProcess, waitUntil } from "./processes.ts";
import { skip } from "./skip.ts";
import { Subject } from "./subject.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const buildEmulator = () => buildProgram(here("../../examples/emulator/emulator.c"));

/** Threads of the subject other than the main one. */
function otherThreads(pid: number): number[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map((entry) => Number(entry.name))
    .filter((tid) => tid !== pid).sort((a, b) => a - b);
}

/** Switches dispatch off in one thread; false where the kernel has no way to do so. */
async function loseDispatch(tid: number): Promise<boolean> {
  const program = await buildProgram(here("lose_dispatch.c"));
  const { code, stderr } = await new Deno.Command(program, { args: [String(tid)] }).output();
  assert.ok(code === 0 || code === 77, new TextDecoder().decode(stderr));
  return code === 0;
}

Deno.test("the emulator loses nothing when left alone", async () => {
  await using emulator = await Subject.run(await buildEmulator());
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { output } = await emulator.expectPass();
  assert.match(output, /^issued=[1-9]\d*$/m);
  assert.match(output, /^leaked=0$/m);
});

/** Lets a thread run for long enough to make some calls; one that sleeps all the time is waited for only a little. */
async function letRun(pid: number, tid: number): Promise<void> {
  const nanoseconds = () => {
    try {
      return Number(Deno.readTextFileSync(`/proc/${pid}/task/${tid}/schedstat`).split(" ")[0]);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return Infinity;
      throw error;
    }
  };
  const start = performance.now();
  const first = nanoseconds();
  const isAsleep = () => readProcess(tid)?.state === "S" && performance.now() - start > 100;
  await waitUntil(() => !(nanoseconds() - first < 1_000_000) || isAsleep(), "the thread to run");
}

/** Which thread of which program is robbed, by its place among those that are not the main one. */
const ROBBED: readonly [name: string, args: readonly string[], thread: number | "main"][] = [
  ["sud_block", [], "main"],
  ["sud_allow", [], "main"],
  ["sud_null_selector", [], "main"],
  ["sud_inclusive", [], "main"],
  ["sud_pending", [], "main"],
  ["sud_empty_range", [], 0],
  ["sud_threads", ["4"], 0],
  ["sud_threads", ["4", "gs"], 1],
  ["sud_blocked_in_call", ["read"], 0],
  ["sud_in_handler", ["nested"], "main"],
  ["sud_leave", [], 1],
  ["emulator", [], 1],
];

for (const [name, args, thread] of ROBBED) {
  Deno.test(`${[name, ...args].join(" ")} notices when a thread loses its dispatch`, async (t) => {
    const program = await (name === "emulator" ? buildEmulator() : buildSubject(name));
    await using subject = await Subject.run(program, { args });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const tid = thread === "main" ? subject.pid : otherThreads(subject.pid)[thread]!;
    if (!await loseDispatch(tid)) {
      return skip(t, "this kernel cannot switch the dispatch of another task off");
    }
    await letRun(subject.pid, tid);
    const verdict = await subject.verdict();
    assert.ok(!verdict.pass && verdict.failed.length > 0, verdict.output);
  });
}
