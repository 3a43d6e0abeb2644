/**
 * If the tool is killed in the middle, no thread of the target makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { ImageHome } from "./round_trip.ts";

/** A tool that kills itself in a hook of a plugin of its own, or has a long program injected and waits to be killed. */
const TOOL = `
import { checkpoint, definePlugin } from "${new URL("../../mod.ts", import.meta.url)}";
const [pid, directory, place] = Deno.args;
const die = () => {
  if (place !== "program") Deno.kill(Deno.pid, "SIGKILL");
};
const plugin = definePlugin({
  name: "suicide",
  description: "kills the tool",
  after: ["seccomp", "sud"],
  checkpoint: () => ({
    freezeThread: () => place === "freeze" ? die() : undefined,
    collectThread(_thread, program) {
      if (place !== "program") return;
      // The thread stands in the middle of an injected program when the tool dies.
      for (let times = 0; times < 200; times++) {
        program.try("poll", 0, 0, 5);
        program.try("getpgrp");
      }
    },
    dumpTask: () => place === "dump" ? die() : undefined,
  }),
});
await checkpoint(Number(pid), { directory, plugins: [plugin], leaveRunning: true });
`;

for (const place of ["freeze", "dump", "program"]) {
  Deno.test({
    name: `the tool is killed (${place}): the target never runs with its filters off`,
    ignore: ownInability() !== undefined,
    async fn() {
      using images = new ImageHome();
      const script = Deno.makeTempFileSync({ suffix: ".ts" });
      await using subject = await Subject.start("seccomp_guard", { args: ["4"] });
      try {
        Deno.writeTextFileSync(script, TOOL);
        const config = new URL("../../deno.json", import.meta.url).pathname;
        const tool = new Deno.Command(Deno.execPath(), {
          args: [
            "run",
            "-A",
            "--no-check",
            "--config",
            config,
            script,
            String(subject.pid),
            images.directory,
            place,
          ],
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn();
        if (place === "program") {
          // The program takes a second or more; then it is under way.
          await waitUntil(() => isInProgram(subject.pid), "the program to run", 20_000);
          tool.kill("SIGKILL");
        }
        const { signal, stderr } = await tool.output();
        assert.equal(signal, "SIGKILL", new TextDecoder().decode(stderr));
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
        if (place === "freeze") {
          // Nothing was injected: it runs on as if nothing had happened.
          await subject.expectPass();
        } else if (subject.alive) {
          const status = Deno.readTextFileSync(`/proc/${subject.pid}/status`);
          assert.match(status, /^Seccomp:\t2$/m);
          assert.match(status, /^TracerPid:\t0$/m);
        }
      } finally {
        Deno.removeSync(script);
      }
    },
  });
}

/** Whether its leader is in the poll(2) of the injected program. */
function isInProgram(pid: number): boolean {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/syscall`);
    return text.startsWith("7 ");
  } catch {
    return false;
  }
}
