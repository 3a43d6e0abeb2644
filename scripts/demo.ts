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
import { StasisError } from "../base/errors.ts";
import { buildProgram } from "../tests/harness/build.ts";
import { readProgress } from "./demo/accounts.ts";
import { EMULATOR, INTRODUCTION, leaveRunning, settle, start, stasis, work } from "./demo/acts.ts";
import { Narrator } from "./demo/narrator.ts";
import { ensureTools } from "./setup/ensure.ts";
import { DEMO_TOOLS } from "./setup/tools.ts";

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
    narrator.say(INTRODUCTION);
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
