/**
 * A real program in groups that bound its memory, its tasks and its processor time, checkpointed in the middle of its
 * work: it comes to the right end in the same groups.
 */
import { equal } from "@std/assert";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type ControlGroup, type Hierarchy, onHierarchies } from "../harness/control_groups.ts";
import {
  killAndRestore,
  leaveRunningAndRestore,
  type Program,
  withEnoughToDo,
} from "../programs/scenario.ts";

const SCRIPT = fileURLToPath(new URL("../programs/grouped.py", import.meta.url));
const STEPS = 40;

/** What the script computes in a step. */
function results(step: number): string {
  return [0, 1, 2].map((index) => {
    let digest: Uint8Array = new TextEncoder().encode(`${step}.${index}`);
    for (let round = 0; round < 40; round++) {
      const hash = createHash("sha256");
      for (let times = 0; times < 50; times++) hash.update(digest);
      digest = hash.digest();
    }
    return digest.toHex().slice(0, 16);
  }).join(" ");
}

/** The settings of a group, each in the file that its version of control groups has for it. */
const SETTINGS: Readonly<Record<string, readonly (readonly [file: string, value: string])[]>> = {
  memory: [["memory.max", `${128 << 20}`], ["memory.limit_in_bytes", `${128 << 20}`]],
  // Threads that have been joined may be on their way out still.
  pids: [["pids.max", "8"]],
  cpu: [["cpu.max", "80000 100000"], ["cpu.cfs_quota_us", "80000"]],
};

/** Makes a group of each hierarchy with all settings that it takes. */
function makeGroups(hierarchies: readonly Hierarchy[]): ControlGroup[] {
  return [...new Map(hierarchies.map((one) => [one.name, one])).values()].map((hierarchy) => {
    const group = hierarchy.make();
    for (const [file, value] of Object.values(SETTINGS).flat()) {
      if (group.read(file) !== undefined) group.write(file, value);
    }
    return group;
  });
}

function grouped(groups: readonly ControlGroup[], work: number): Program {
  const steps = STEPS * work;
  const enter = groups.map(({ directory }) => `echo $$ >${directory}/cgroup.procs`).join("; ");
  return {
    command: "/bin/sh",
    args: ["-c", `${enter}; exec python3 ${SCRIPT} ${steps}`],
    midway: (subject) => subject.output().includes("step 2 "),
    verify(subject) {
      equal(subject.errors(), "");
      const lines = Array.from(
        { length: steps },
        (_, step) => `step ${step} ${results(step)} kept`,
      );
      equal(subject.output(), [...lines, "memory kept", ""].join("\n"));
    },
  };
}

for (
  const [what, scenario] of [
    ["killed and restored", (program: Program) => killAndRestore(program, 2)],
    ["left running, and restored afterwards", leaveRunningAndRestore],
  ] as const
) {
  Deno.test(
    `a program with limits of memory, tasks and processor time: ${what}`,
    onHierarchies(
      Object.keys(SETTINGS).map((controller) => ({ controller })),
      async (_, ...hierarchies) => {
        const groups = makeGroups(hierarchies);
        await withEnoughToDo((work) => grouped(groups, work), scenario);
      },
    ),
  );
}
