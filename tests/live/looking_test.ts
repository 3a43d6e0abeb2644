/** Looking into checkpoints, and at what could be one, as users do. */
import { deepEqual, equal, match, ok } from "@std/assert";
import type { TreeDiff } from "../../cli/diff/changes.ts";
import { checkpoint, survey, type Verdict } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { ImageHome, settled, startSleeper } from "./round_trip.ts";

async function output(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await stasis(args);
  equal(status, 0, stderr);
  return stdout;
}

/** At SIGUSR1 it changes its memory and writes seven bytes. */
const WRITER = `
  open(F, ">", $ARGV[0]); open(READY, ">", "$ARGV[0].ready");
  $SIG{USR1} = sub { $text = "y" x 100_000; syswrite(F, "seven b") };
  syswrite(READY, "ready"); sleep(1) while 1;
`;

const sizeOf = (path: string): number => {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
};

Deno.test("diff tells of positions and pages that changed between two checkpoints, and of nothing else", async () => {
  using first = new ImageHome(), second = new ImageHome();
  const file = `${first.directory}.out`;
  await using subject = await Subject.spawn("perl", { args: ["-e", WRITER, file] });
  await waitUntil(() => sizeOf(`${file}.ready`) > 0, () => "the program to be ready");
  await checkpoint(subject.pid, { directory: first.directory, leaveRunning: true });
  Deno.kill(subject.pid, "SIGUSR1");
  await waitUntil(() => sizeOf(file) === 7, () => "seven bytes");
  await checkpoint(subject.pid, { directory: second.directory, leaveRunning: true });

  const { changed, begun, ended }: TreeDiff = JSON.parse(
    await output("diff", first.directory, second.directory, "--json"),
  );
  deepEqual([begun, ended], [[], []]);
  deepEqual(changed.map(({ pid }) => pid), [subject.pid]);
  const [{ descriptors, pages }] = changed as [TreeDiff["changed"][number]];
  deepEqual([descriptors.closed, descriptors.opened], [[], []]);
  deepEqual(
    descriptors.changed.map(({ before, after }) =>
      [before, after].map((what) => /at \d+/.exec(what)?.[0])
    ),
    [
      ["at 0", "at 7"],
    ],
  );
  ok(pages.some(({ mapping, changed }) => mapping.name === "[heap]" && changed > 0));

  match(await output("diff", first.directory, first.directory), /: no difference in processes, /);
  const { tasks } = JSON.parse(await output("inspect", first.directory, "--json"));
  deepEqual(tasks[0].args, ["perl", "-e", WRITER, file]);
});

Deno.test("ps tells who can be checkpointed, who cannot and why, and touches neither", async () => {
  await using subject = await startSleeper("");
  const before = await settled(subject.pid);
  const verdicts: Verdict[] = JSON.parse(
    await output("ps", String(subject.pid), String(Deno.pid), "--json"),
  );
  const [own, sleeper] = [Deno.pid, subject.pid].map((pid) =>
    verdicts.find((verdict) => verdict.pid === pid)
  );
  deepEqual(sleeper, { pid: subject.pid, comm: "sleep", tasks: 1, threads: 1, problems: [] });
  match(own?.problems[0]?.what ?? "", /its tree has this tool/);
  deepEqual(await settled(subject.pid), before);

  const text = await output("ps", String(subject.pid));
  match(text, /^\d+ +sleep +1 process +yes\n1 of 1 process can be checkpointed\n$/);
  await subject.kill();
  await subject.waitGone();
  const gone = await stasis(["ps", String(subject.pid)]);
  equal(gone.status, 3, gone.stderr);
});

Deno.test("ps leaves out no process whose children come and go", async () => {
  await using subject = await Subject.spawn("sh", { args: ["-c", "while :; do /bin/true; done"] });
  const { pid } = subject;
  for (let looks = 0; looks < 5; looks++) {
    deepEqual((await survey([pid])).map((verdict) => verdict.pid), [pid]);
  }
});
