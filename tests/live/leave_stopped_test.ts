/**
 * A tree that is left stopped after its checkpoint: all of it, with all its threads, also if the tool is killed at any
 * moment past the commit; and none of it, if that is before.
 */
import assert from "@std/assert";
import { actAtMoment } from "../harness/kill_at_call.ts";
import { processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { variantName } from "../harness/variants.ts";
import { ImageRoom } from "../harness/unharmed.ts";
import { backend } from "./dispatch.ts";

/** A tree, and dispatch in a tree and in threads. */
const SUBJECTS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["tree_sessions"],
  ["sud_fork"],
  ["sud_threads", "4"],
];

/**
 * Where the tool is killed, by which call it is at how many times past the commit: before anything is stopped, between
 * the stops of processes, and while it lets go of them.
 */
const MOMENTS: readonly (readonly [call: string, times: number])[] = [
  ["kill", 1],
  ["kill", 3],
  ["ptrace SETREGS", 2],
  ["ptrace DETACH", 3],
];

const saving = (pid: number, directory: string) => [
  ...["checkpoint", String(pid), "-D", directory, "--leave-stopped"],
  ...["--timeout", "120"],
];

/** The processes of a tree that have not ended. */
function liveTree(root: number): number[] {
  return processTree(root).filter((pid) => readProcess(pid)?.state !== "Z");
}

/** The states of all threads of processes, without doubles. */
function statesOf(pids: readonly number[]): string {
  const states = pids.flatMap((pid) =>
    [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => {
      const stat = Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`);
      return stat[stat.lastIndexOf(")") + 2];
    })
  );
  return [...new Set(states)].sort().join("");
}

function goOn(pids: readonly number[]): void {
  for (const pid of pids) Deno.kill(pid, "SIGCONT");
}

for (const [name, ...args] of SUBJECTS) {
  const needsBackend = { ignore: name.startsWith("sud_") && !backend.usable };

  Deno.test({
    name: `${variantName(name, args)} is left stopped whole, also by a tool that is killed`,
    ...needsBackend,
    async fn() {
      await using subject = await Subject.start(name, { args });
      using room = new ImageRoom();
      const pids = liveTree(subject.pid);
      const isStopped = () => statesOf(pids) === "T";
      const { status, stderr } = await actAtMoment(saving(subject.pid, room.fresh()), Infinity);
      assert.equal(status.code, 0, stderr);
      await waitUntil(isStopped, () => `all to be stopped: ${statesOf(pids)}`);
      goOn(pids);

      for (const [call, times] of MOMENTS) {
        const directory = room.fresh();
        let left = times;
        const run = await actAtMoment(saving(subject.pid, directory), (here) => {
          return here === call && exists(`${directory}/inventory.img`) && --left === 0;
        });
        assert.equal(run.call, call, run.stderr);
        await waitUntil(isStopped, () => `killed at ${call}: ${statesOf(pids)}`);
        goOn(pids);
      }

      const directory = room.fresh();
      const run = await actAtMoment(saving(subject.pid, directory), (call) => call === "rename");
      assert.equal(run.call, "rename", run.stderr);
      assert.ok(!exists(`${directory}/inventory.img`));
      assert.ok(!statesOf(pids).includes("T"), "it runs on");
      await subject.expectPass();
    },
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
