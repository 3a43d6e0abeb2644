/**
 * A tool that is killed in the middle of a checkpoint.
 *
 * @module
 */
import assert from "@std/assert";
import { guardianName } from "../../core/guardian/guardian.ts";
import { allPids, awaitStops, stoppedThreads, waitUntil } from "../harness/processes.ts";
import { ImageHome } from "./round_trip.ts";

/**
 * Where it is killed: when the first thread has been made safe to inject into and the others have not; when all have
 * and nothing was injected yet; when programs have run in all of them; in the middle of one; in the middle of
 * a single call.
 */
export const PLACES = ["first thread", "all threads", "dump", "program", "call"] as const;
/** One of {@link PLACES}. */
export type Place = typeof PLACES[number];

/** A tool that kills itself in a hook of a plugin of its own, or has long calls injected and waits to be killed. */
const TOOL = `
import { checkpoint, definePlugin } from "${new URL("../../mod.ts", import.meta.url)}";
const [pid, directory, place] = Deno.args;
const dieAt = (here) => {
  if (place === here) Deno.kill(Deno.pid, "SIGKILL");
};
const plugin = definePlugin({
  name: "suicide",
  description: "kills the tool",
  after: ["seccomp", "sud"],
  checkpoint: () => ({
    freezeThreads: () => dieAt("first thread"),
    survey: ({ frozen }) => frozen ? dieAt("all threads") : undefined,
    collectThread(_thread, program) {
      if (place !== "program") return;
      // The thread stands in the middle of an injected program when the tool dies.
      for (let times = 0; times < 200; times++) {
        program.try("poll", 0, 0, 5);
        program.try("getpgrp");
      }
    },
    dumpTask({ remote }) {
      dieAt("dump");
      if (place === "call") remote.tryCall("select", 0, 0, 0, 0, 0);
    },
  }),
});
await checkpoint(Number(pid), { directory, plugins: [plugin], leaveRunning: true });
`;

/**
 * Runs a checkpoint of a process by a tool of its own, which dies by SIGKILL in its middle, and waits until its guardians
 * have done their work.
 *
 * @param withGuardians whether they are killed with it, where it waits to be killed
 */
export async function checkpointAndKill(
  pid: number,
  place: Place,
  withGuardians = false,
): Promise<void> {
  using images = new ImageHome();
  const stopped = stoppedThreads(pid);
  const script = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(script, TOOL);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const options = ["-A", "--no-check", "--config", config];
    const tool = new Deno.Command(Deno.execPath(), {
      args: ["run", ...options, script, String(pid), images.directory, place],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    if (place === "program" || place === "call") {
      // They take a second or more; then they are under way. A slow machine takes long to get there.
      await waitUntil(() => isInCall(pid, place), "the calls to be made", 60_000);
      if (withGuardians) { for (const one of guardiansOf(tool.pid)) Deno.kill(one, "SIGKILL"); }
      tool.kill("SIGKILL");
    }
    const { signal, stderr } = await tool.output();
    assert.equal(signal, "SIGKILL", new TextDecoder().decode(stderr));
    await waitRescued(tool.pid);
    await awaitStops(stopped);
  } finally {
    Deno.removeSync(script);
  }
}

/** Whether a thread of it is in one of the calls that are injected: poll(2) in a program, select(2) as a single one. */
function isInCall(pid: number, place: "program" | "call"): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].some(({ name }) =>
      Deno.readTextFileSync(`/proc/${pid}/task/${name}/syscall`)
        .startsWith(place === "program" ? "7 " : "23 ")
    );
  } catch {
    return false;
  }
}

/** Waits until the guardians of a dead tool have done their work. */
export async function waitRescued(tool: number): Promise<void> {
  // Where a target executes programs all the time, on a machine that has much else to do, that is for long.
  const done = () => guardiansOf(tool).length === 0;
  await waitUntil(done, "the guardians to have done their work", 60_000);
}

/** The guardians of a tool that are there. */
export function guardiansOf(tool: number): number[] {
  const name = guardianName(tool).join("\0");
  return allPids().filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith(name);
    } catch {
      return false;
    }
  });
}
