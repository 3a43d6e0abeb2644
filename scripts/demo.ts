/**
 * `deno task demo`: an emulator of a foreign system, in mid-work, is checkpointed, killed, restored, and asked for
 * its own accounts; then the same while it runs on.
 *
 *     deno task demo [--keep]      --keep leaves the images and the emulator's files behind
 *     deno task demo --build       only builds the emulator
 *
 * @module
 */

import { parseArgs } from "node:util";
import { StasisError } from "../core/errors.ts";
import { buildProgram } from "../tests/harness/build.ts";
import { Subject } from "../tests/harness/subject.ts";
import { Accounts, compareAccounts, readProgress } from "./demo/accounts.ts";
import { Narrator } from "./demo/narrator.ts";
import { ensureTools } from "./setup/ensure.ts";
import { DEMO_TOOLS } from "./setup/tools.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const EMULATOR = `${ROOT}examples/emulator/emulator.c`;
const THREADS = 4;

/** Lets the emulator work for a while and returns what it has counted by then. */
async function work(emulator: Subject, more = 3): Promise<number> {
  const before = readProgress(emulator.output()).length;
  const end = performance.now() + 10_000;
  while (readProgress(emulator.output()).length < before + more) {
    if (performance.now() > end) throw new Error("the emulator stands still");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return readProgress(emulator.output()).at(-1)!.issued;
}

async function stasis(narrator: Narrator, ...args: string[]): Promise<void> {
  narrator.command(`stasis ${args.join(" ")}`);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", `${ROOT}cli/main.ts`, ...args],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  narrator.output(text);
  if (!success) throw new Error(`stasis ${args[0]} failed`);
}

/** Asks the emulator to stop and to settle its accounts. */
async function settle(narrator: Narrator, emulator: Subject, atLeast: number): Promise<void> {
  narrator.say("Now the emulator is asked to stop and to compare what all sides have counted:");
  const verdict = await emulator.verdict();
  const accounts = Accounts.parse(verdict.output);
  narrator.output(accounts.table().join("\n"));
  const wrong = compareAccounts(accounts, atLeast);
  if (!verdict.pass || wrong.length > 0) {
    throw new Error(["the accounts do not agree", ...wrong, ...verdict.failed].join("\n  "));
  }
  narrator.good(
    `${accounts.issued} foreign calls, every one emulated exactly once: none lost, none leaked to Linux, ` +
      "none seen twice.",
  );
}

async function start(narrator: Narrator, program: string, cwd: string): Promise<Subject> {
  await Deno.mkdir(cwd);
  const emulator = await Subject.run(program, { args: [String(THREADS)], cwd });
  const child = emulator.fact("child");
  narrator.say(
    `It runs as process ${emulator.pid} with ${THREADS} foreign programs in threads of their own, and one more ` +
      `in its child ${child}. They append to a file and talk through a pipe.`,
  );
  return emulator;
}

/** First part: away and back again. */
async function killAndRestore(narrator: Narrator, program: string, home: string): Promise<void> {
  narrator.heading("Checkpoint, kill, restore");
  await using emulator = await start(narrator, program, `${home}/first`);
  const before = await work(emulator);
  narrator.say(
    `It is in the middle of its work: ${before} foreign calls so far. It is saved and ended:`,
  );
  const images = `${home}/images-1`;
  await stasis(narrator, "checkpoint", String(emulator.pid), "--images-dir", images);
  if (emulator.alive) throw new Error("the emulator should be gone");
  const saved = readProgress(emulator.output()).at(-1)!.issued;
  narrator.say("The process is gone; only its images are left. In them, thread by thread:");
  await stasis(narrator, "inspect", images);
  narrator.say(
    "Back it comes, under the same process ids, each thread with its own dispatch armed:",
  );
  await stasis(narrator, "restore", images, "--detach");
  const after = await work(emulator);
  if (after <= saved) throw new Error(`it stopped at ${saved} calls and is at ${after} now`);
  narrator.say(`It goes on where it stood: ${after} foreign calls by now.`);
  await settle(narrator, emulator, before);
}

/** Second part: a snapshot of something that runs on. */
async function leaveRunning(narrator: Narrator, program: string, home: string): Promise<void> {
  narrator.heading("The same, while it runs on");
  await using emulator = await start(narrator, program, `${home}/second`);
  const before = await work(emulator);
  const images = `${home}/images-2`;
  const pid = String(emulator.pid);
  await stasis(narrator, "checkpoint", pid, "--images-dir", images, "--leave-running");
  if (!emulator.alive) throw new Error("the emulator should have run on");
  const after = await work(emulator);
  narrator.say(
    `It has been saved and never ended: ${before} foreign calls before, ${after} after.`,
  );
  await settle(narrator, emulator, after);
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      keep: { type: "boolean", default: false },
      build: { type: "boolean", default: false },
    },
  });
  const narrator = new Narrator();
  let home: string | undefined;
  try {
    if (Deno.uid() !== 0) {
      throw new StasisError("no-privilege", "The demo needs root", {
        hint: "run it with sudo, or in a container of your own",
      });
    }
    // In the VM there is no compiler: what was built outside is found there.
    if (Deno.env.get("STASIS_VM") === undefined) {
      await ensureTools(DEMO_TOOLS, (text) => narrator.say(`set-up: ${text}`));
    }
    if (values.build) {
      await buildProgram(EMULATOR);
      Deno.exit();
    }
    narrator.say(
      "Some programs on Linux run code of another system: Wine, sandboxes, emulators. That code makes system " +
        "calls which Linux must not answer, so the kernel hands each of them back (Syscall User Dispatch, SUD) " +
        "and the program answers it itself. A checkpoint must neither lose such a call nor let Linux have it.",
    );
    narrator.heading("The emulator");
    narrator.say("Building examples/emulator/emulator.c, a small program of that kind.");
    const program = await buildProgram(EMULATOR);
    home = await Deno.makeTempDir({ prefix: "stasis-demo-" });
    await killAndRestore(narrator, program, home);
    await leaveRunning(narrator, program, home);
    narrator.heading("Done");
    if (values.keep) narrator.say(`Images and files are in ${home}.`);
  } catch (error) {
    narrator.bad(error instanceof Error ? error.message : String(error));
    if (error instanceof StasisError && error.hint) narrator.say(`hint: ${error.hint}`);
    Deno.exitCode = error instanceof StasisError ? error.exitStatus : 1;
  } finally {
    if (home !== undefined && !values.keep) await Deno.remove(home, { recursive: true });
  }
}
