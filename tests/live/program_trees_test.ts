/**
 * Real programs that are trees of processes, checkpointed in the middle of their work: jobs of a shell, stopped ones
 * too, a parallel build, processes that share memory, locks and queues. Each comes to the right end.
 */
import { deepEqual, equal, match } from "@std/assert";
import { checkpoint, restore } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import type { Subject } from "../harness/subject.ts";
import {
  ending,
  file,
  killAndRestore,
  leaveRunningAndRestore,
  type Program,
  range,
  script,
  start,
  withEnoughToDo,
} from "../programs/scenario.ts";
import { ImageHome } from "./round_trip.ts";

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const lines = (text: string) => text.split("\n").slice(0, -1);

/** The names of files in its working directory that end so. */
const files = (subject: Subject, end: string) =>
  [...Deno.readDirSync(subject.cwd)].map(({ name }) => name).filter((name) => name.endsWith(end));

function jobs(work: number): Program {
  const steps = 30 * work;
  return {
    command: "bash",
    args: [script("jobs.sh"), String(steps)],
    midway: (subject) => subject.output().includes("step 8 "),
    verify(subject) {
      equal(subject.errors(), "");
      deepEqual(lines(subject.output()), [
        ...range(steps).map((step) => `step ${step} ${step % 7} 1 T`),
        "running 3",
        "stopped 4",
      ]);
      for (const name of ["running", "stopped"]) {
        deepEqual(lines(file(subject, `${name}.txt`)), range(steps).map((i) => `${name} ${i}`));
      }
    },
  };
}

function make(work: number): Program {
  const count = 12 * work;
  return {
    command: "make",
    args: ["-j4", "-s", "-f", script("many.mk"), `COUNT=${count}`],
    midway: (subject) => files(subject, ".o").length >= 4,
    verify(subject) {
      equal(subject.errors(), "");
      equal(file(subject, "result.txt"), String(count * (count + 1) / 2));
    },
  };
}

function xargs(work: number): Program {
  const count = 80 * work;
  return {
    command: "sh",
    args: ["-c", `seq ${count} | xargs -P4 -n1 sh -c 'echo $0; sleep 0.02'`],
    midway: (subject) => lines(subject.output()).length > 10,
    verify(subject) {
      equal(subject.errors(), "");
      const numbers = lines(subject.output()).map(Number).sort((a, b) => a - b);
      deepEqual(numbers, range(count).map((i) => i + 1));
    },
  };
}

function multiprocessing(named: boolean): (work: number) => Program {
  return (work) => {
    const items = 100 * work;
    return {
      command: "/usr/bin/python3",
      args: [script("processes.py"), String(items), ...named ? ["named"] : []],
      midway: (subject) => subject.output().includes("step 20\n"),
      verify(subject) {
        equal(subject.errors(), "");
        const squares = sum(range(items).map((i) => i * i));
        deepEqual(lines(subject.output()), [
          ...range(items).map((i) => `step ${i}`),
          `total ${sum(range(items))} ${squares} {1} [0, 0, 0, 0]`,
          ...named ? [`named ${items}`] : [],
        ]);
      },
    };
  };
}

const PROGRAMS: Readonly<Record<string, (work: number) => Program>> = {
  "a bash script with stopped and background jobs": jobs,
  "make -j4": make,
  "xargs -P4": xargs,
  "Python's multiprocessing": multiprocessing(false),
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  Deno.test(`${name} comes to the right end after checkpoint and restore`, async () => {
    await withEnoughToDo(program, (program) => killAndRestore(program, 2));
  });
  Deno.test(`${name} comes to the right end when it is left running, and from its images`, async () => {
    await withEnoughToDo(program, leaveRunningAndRestore);
  });
}

Deno.test("Python's multiprocessing with shared memory that has a name comes to the right end", async () => {
  await withEnoughToDo(multiprocessing(true), (program) => killAndRestore(program, 1));
});

Deno.test("a shell and its jobs come to the right end in a pid namespace of their own", async () => {
  using images = new ImageHome();
  const program = jobs(1);
  await using subject = await start(program);
  await checkpoint(subject.pid, images);
  await waitUntil(() => !subject.alive, "it to be gone");
  const tree = await restore(images.directory, { options: { newPidNamespace: true } });
  deepEqual(await ending(tree), { code: 0 });
  match(subject.output(), /^stopped 4$/m);
  program.verify(subject);
});
