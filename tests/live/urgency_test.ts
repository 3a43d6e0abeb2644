/**
 * While a tree stands still that is to run on, the tool's thread goes before what else runs on the machine; neither
 * before that nor afterwards, whatever comes of it, and nothing of it is left to the tree.
 */
import { deepEqual, equal } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { checkpoint, type CheckpointSettings, definePlugin, restore } from "../../mod.ts";
import { buildSubject } from "../harness/build.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf, ImageRoom } from "../harness/unharmed.ts";

/** Policies (`include/uapi/linux/sched.h`). */
const OTHER = 0, RR = 2;

/** The scheduling of a thread: fields 19, 40 and 41 of proc_pid_stat(5). */
function scheduling(task: string): readonly [nice: number, priority: number, policy: number] {
  const text = Deno.readTextFileSync(`/proc/${task}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
  return [fields[19 - 3]!, fields[40 - 3]!, fields[41 - 3]!];
}

/** Those of all threads of a process. */
function schedulings(pid: number) {
  return Array.from(
    Deno.readDirSync(`/proc/${pid}/task`),
    ({ name }) => scheduling(`${pid}/task/${name}`),
  );
}

/** The runtime runs each test module in a thread of its own. */
const OWN = `${Deno.pid}/task/${syscall(SYSCALLS.gettid)}`;

/** Which policy this thread has in each phase. */
async function policies(
  pid: number,
  settings: Omit<CheckpointSettings, "onEvent">,
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  await checkpoint(pid, {
    ...settings,
    onEvent: (event) => {
      if (event.kind === "phase") found[event.phase] = scheduling(OWN)[2];
    },
  });
  return found;
}

Deno.test("checkpoint() goes before others for as long as a tree stands still that is to run on", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("threads_many", { args: ["3"] });
  const [before, ofSubject] = [scheduling(OWN), schedulings(subject.pid)];
  equal(before[2], OTHER);
  const found = await policies(subject.pid, { directory: room.fresh(), leaveRunning: true });
  // A phase is told when it begins.
  deepEqual(found, {
    survey: OTHER,
    freeze: OTHER,
    dump: RR,
    pages: RR,
    release: RR,
    commit: OTHER,
  });
  deepEqual(scheduling(OWN), before);
  deepEqual(schedulings(Deno.pid).filter(([, , policy]) => policy !== OTHER), []);
  deepEqual(schedulings(subject.pid), ofSubject);

  let policy: number | undefined;
  const failing = definePlugin({
    name: "failing",
    description: "fails",
    checkpoint: () => ({
      pages() {
        policy = scheduling(OWN)[2];
        throw new StasisError("unsupported", "sabotage");
      },
    }),
  });
  const error = await failureOf(checkpoint(subject.pid, {
    directory: room.fresh(),
    leaveRunning: true,
    plugins: [failing],
  }));
  equal(error.message, "sabotage");
  equal(policy, RR);
  deepEqual(scheduling(OWN), before);

  await using crowd = await Subject.start("threads_many", { args: ["300"] });
  const many = await policies(crowd.pid, { directory: room.fresh(), leaveRunning: true });
  deepEqual(new Set(Object.values(many)), new Set([OTHER]));
  await crowd.expectPass();

  // One that is ended waits for nobody.
  const directory = room.fresh();
  const ended = await policies(subject.pid, { directory });
  deepEqual(new Set(Object.values(ended)), new Set([OTHER]));
  const tree = await restore(directory);
  deepEqual(schedulings(subject.pid), ofSubject);
  await subject.expectPass();
  await tree.wait();
});

for (
  const [why, ...through] of [
    ["may not", "setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice", "--"],
    ["would be killed if it did", "prlimit", "--rttime=1:1", "--"],
  ] as const
) {
  Deno.test(`a checkpoint that ${why} goes before nobody`, async () => {
    using room = new ImageRoom();
    // It has nothing either that the tool would need to bring it back.
    const [command, ...words] = through;
    await using subject = await Subject.spawn(command, {
      args: [...words, await buildSubject("threads_many"), "3"],
    });
    await subject.waitReady();
    const directory = room.fresh();
    const { status, stderr } = await stasis(
      ["checkpoint", String(subject.pid), "-D", directory, "-R"],
      { through },
    );
    equal(status, 0, stderr);
    await subject.expectPass();
  });
}
