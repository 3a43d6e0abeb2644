/**
 * `deno task demo:vm`: the demo on Linux 6.1 with the patch series, in a VM that is rebooted between the
 * checkpoint and the restore.
 *
 *     deno task demo:vm
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";
import { ensureKernels } from "../kernel/build/kernel.ts";
import { Progress } from "../kernel/progress.ts";
import { runInVm } from "../kernel/vm/run.ts";
import { buildProgram } from "../tests/harness/build.ts";
import { EMULATOR, INTRODUCTION } from "./demo/acts.ts";
import { Narrator } from "./demo/narrator.ts";
import { ensureTools } from "./setup/ensure.ts";
import { DEMO_TOOLS, VM_TOOLS } from "./setup/tools.ts";

const TIMEOUT = 600; // seconds

async function tell(narrator: Narrator): Promise<void> {
  await ensureTools([...DEMO_TOOLS, ...VM_TOOLS], (text) => narrator.say(`set-up: ${text}`));
  narrator.say(INTRODUCTION);
  narrator.heading("The kernel");
  narrator.say(
    "Linux can do that from version 6.4 on. For Linux 6.1 Stasis brings patches: they let a tool see " +
      "whether dispatch is on, read how it is set, and hold it off for a while. The kernel is built from " +
      "Debian's source with them, which takes ten minutes the first time.",
  );
  const program = buildProgram(EMULATOR);
  const kernel = (await ensureKernels(new Progress(), ["series"])).get("series")!;
  await program;

  const share = await Deno.makeTempDir({ prefix: "stasis-demo-" });
  try {
    const boot = async (act: "save" | "restore") => {
      const argv = ["deno", "run", "-A", "--no-check", "scripts/demo/in_vm.ts", act];
      const { status } = await runInVm({
        kernel,
        argv: [...argv, String(narrator.elapsed)],
        share,
        timeout: TIMEOUT,
        output: "inherit",
      });
      if (status !== 0) throw new Error(`the command in the VM ended with status ${status}`);
    };
    narrator.heading("First boot: checkpoint");
    narrator.say(
      "A VM boots that kernel, by emulation where the machine has no KVM, so all is slower there.",
    );
    await boot("save");
    narrator.heading("Second boot: restore");
    narrator.say("The VM has been switched off. All that is left of it is the directory /share:");
    narrator.output(await contentsOf(share));
    narrator.say("It is switched on again.");
    await boot("restore");
    narrator.heading("Done");
  } finally {
    await Deno.remove(share, { recursive: true });
  }
}

/** What there is in a directory, for people. */
async function contentsOf(directory: string): Promise<string> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    names.push(isDirectory ? `${name}/` : name);
  }
  return names.sort().join("  ");
}

if (import.meta.main) {
  const narrator = new Narrator();
  try {
    await tell(narrator);
  } catch (error) {
    narrator.bad(error instanceof Error ? error.message : String(error));
    if (error instanceof StasisError && error.hint) narrator.say(`hint: ${error.hint}`);
    Deno.exitCode = error instanceof StasisError ? error.exitStatus : 1;
  }
}
