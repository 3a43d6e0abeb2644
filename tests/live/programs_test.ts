/**
 * Real programs, checkpointed in the middle of their work: each comes to the right end after a restore, and
 * after a checkpoint that left it running. What is right, they say themselves: their results are computed
 * here once more, and every line that they write has its number.
 */
import assert from "@std/assert";
import { createHash, pbkdf2Sync } from "node:crypto";
import { fileURLToPath } from "node:url";
import { FILE_LOCKS } from "../../images/kinds/files.ts";
import { SUD } from "../../images/kinds/sud.ts";
import { openImages } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { isAlive, processTree, waitUntil } from "../harness/processes.ts";
import type { Subject } from "../harness/subject.ts";
import { readSavedByte } from "../programs/saved_memory.ts";
import {
  file,
  killAndRestore,
  leaveRunningAndRestore,
  type Program,
  range,
  script,
  start,
  withEnoughToDo,
} from "../programs/scenario.ts";

const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

/** What compute.py and compute.mjs compute: the state after each step. */
function states(steps: number, rounds: number, seed = 1n): string[] {
  let state = seed;
  return range(steps).map(() => {
    for (let round = 0; round < rounds; round++) {
      state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    }
    return state.toString(16).padStart(16, "0");
  });
}

/** The generator of partner.pl and sums.awk, a number of rounds on. */
function advance(state: number, rounds: number): number {
  for (let round = 0; round < rounds; round++) state = (state * 16807 + 11) % 2147483647;
  return state;
}

/** Whether the program has written the line of this step. */
const reached = (step: number) => (subject: Subject) => subject.output().includes(`step ${step} `);

/** It has written this to stdout, and nothing to stderr. */
function expectOutput(subject: Subject, output: string): void {
  assert.equal(subject.errors(), "");
  assert.equal(subject.output(), output);
}

function fileIfAny(subject: Subject, name: string): string | undefined {
  try {
    return file(subject, name);
  } catch {
    return undefined;
  }
}

/** How far any process of the tree has read the file, in bytes. */
function readSoFar(subject: Subject, name: string): number {
  let most = 0;
  for (const pid of processTree(subject.pid)) {
    try {
      for (const { name: fd } of Deno.readDirSync(`/proc/${pid}/fd`)) {
        if (Deno.readLinkSync(`/proc/${pid}/fd/${fd}`) !== `${subject.cwd}/${name}`) continue;
        const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`);
        most = Math.max(most, Number(/^pos:\s*(\d+)/.exec(info)?.[1]));
      }
    } catch {
      // It went meanwhile.
    }
  }
  return most;
}

/** Numbered lines in no order: the same ones every time. */
function shuffledLines(count: number): string[] {
  let state = 1;
  return range(count).map((index) => {
    state = advance(state, 1);
    return `${String(state).padStart(10, "0")} ${index}`;
  });
}

/** How many steps a program makes that has as much to do as usual. */
const STEPS = 70;

/** Python processes of which one does steps and another writes down what it is sent of them. */
function pair(name: string, work: number): Program {
  const steps = STEPS * work;
  const rounds = 3000;
  return {
    command: "/usr/bin/python3",
    args: [script(name), String(steps), String(rounds)],
    midway: reached(25),
    verify(subject) {
      const expected = states(steps, rounds);
      expectOutput(subject, text([...expected.map((state, i) => `step ${i} ${state}`), "done"]));
      const received = expected.map((state, i) => `received ${i} ${state}`);
      assert.equal(file(subject, "received.txt"), text(received));
    },
  };
}

function python(work: number): Program {
  const program = pair("compute.py", work);
  return {
    ...program,
    verify(subject) {
      program.verify(subject);
      const steps = STEPS * work;
      const lines = states(steps, 3000).map((state, i) => `line ${i} ${state}`);
      assert.equal(file(subject, "lines.txt"), text([String(steps).padStart(4, "0"), ...lines]));
    },
  };
}

/** Three processes that talk through unix sockets. */
function sockets(work: number): Program {
  return pair("sockets.py", work);
}

function node(work: number): Program {
  const steps = STEPS * work;
  const rounds = 3000;
  return {
    command: "node",
    args: [script("compute.mjs"), String(steps), String(rounds)],
    midway: reached(25),
    verify(subject) {
      const own = states(steps, rounds);
      const other = states(steps, rounds, 2n);
      const keys = createHash("sha256");
      for (const step of range(steps)) {
        keys.update(pbkdf2Sync(`step ${step}`, "salt", 500, 16, "sha256"));
      }
      const lines = own.map((state, i) => `step ${i} ${state} ${other[i]}`);
      expectOutput(subject, text([...lines, `keys ${keys.digest("hex")}`, "done"]));
      assert.equal(file(subject, "stream.txt"), text(own.map((state, i) => `line ${i} ${state}`)));
    },
  };
}

function bash(work: number): Program {
  const steps = 40 * work;
  return {
    command: "bash",
    args: [script("children.sh"), String(steps)],
    midway: reached(8),
    code: 7,
    verify(subject) {
      const lines = range(steps).map((i) =>
        `step ${i} ${i * i} x ${i},y ${i} ${1275 * i} ${i % 5} ${i % 3 + 10} here ${i} ${i + 1}`
      );
      expectOutput(subject, text([...lines, "done"]));
      assert.equal(file(subject, "log.txt"), text(range(steps).map((i) => `background ${i}`)));
    },
  };
}

function perl(work: number): Program {
  const steps = STEPS * work;
  const rounds = 5000;
  return {
    command: "perl",
    args: [script("partner.pl"), String(steps), String(rounds)],
    midway: reached(25),
    verify(subject) {
      let state = 1;
      const parent: string[] = [];
      const child: string[] = [];
      for (const step of range(steps)) {
        child.push(`child ${step} ${state = advance(state, rounds)}`);
        parent.push(`step ${step} ${state = advance(state, rounds)}`);
      }
      expectOutput(subject, text([...parent, "child 5", "done"]));
      assert.equal(file(subject, "child.txt"), text(child));
    },
  };
}

function awk(work: number): Program {
  const lines = 60_000 * work;
  const rounds = 200;
  return {
    command: "awk",
    args: ["-v", `rounds=${rounds}`, "-f", script("sums.awk"), "numbers.txt"],
    prepare: (cwd) => Deno.writeTextFile(`${cwd}/numbers.txt`, text(range(lines).map(String))),
    midway: reached(10),
    verify(subject) {
      let state = 1;
      const expected: string[] = [];
      for (const line of range(lines)) {
        state = advance(state + line, rounds);
        if ((line + 1) % 1000 === 0) expected.push(`step ${(line + 1) / 1000 - 1} ${state}`);
      }
      expectOutput(subject, text([...expected, "done"]));
    },
  };
}

/** sort with little memory: several threads, and files of its own in mid-merge. */
function sort(work: number): Program {
  const count = 600_000 * work;
  return {
    command: "sort",
    args: ["--parallel=2", "-S", "2M", "-T", ".", "-o", "sorted.txt", "shuffled.txt"],
    prepare: (cwd) => Deno.writeTextFile(`${cwd}/shuffled.txt`, text(shuffledLines(count))),
    midway: (subject) => readSoFar(subject, "shuffled.txt") > 3_000_000,
    verify(subject) {
      expectOutput(subject, "");
      const left = [...Deno.readDirSync(subject.cwd)].map(({ name }) => name).sort();
      assert.deepEqual(left, ["go", "shuffled.txt", "sorted.txt"]);
      // assert.equal() of so much text would take minutes to tell the difference.
      assert.ok(file(subject, "sorted.txt") === text(shuffledLines(count).sort()), "wrong order");
    },
  };
}

/** A pipeline that is always full. */
function gzip(work: number): Program {
  const count = 300_000 * work;
  const expected = () => createHash("sha256").update(text(shuffledLines(count))).digest("hex");
  return {
    command: "bash",
    args: [
      "-c",
      "set -o pipefail; dd if=shuffled.txt bs=999 status=none | gzip -9 | tee packed.gz | " +
      "gzip -dc | sha256sum; echo ${PIPESTATUS[@]}",
    ],
    prepare: (cwd) => Deno.writeTextFile(`${cwd}/shuffled.txt`, text(shuffledLines(count))),
    midway: (subject) => readSoFar(subject, "shuffled.txt") > 1_000_000,
    verify: (subject) => expectOutput(subject, `${expected()}  -\n0 0 0 0 0\n`),
  };
}

/**
 * A real user of Syscall User Dispatch. Each worker switches it on, makes a call that is dispatched, looks at
 * what it got, and switches it off again, over and over. Where dispatch is off in between, Linux answers with
 * ENOSYS, for which the worker gives up without calling it a failure. What matters is to catch it before the
 * call; three times, because the call may just have been made.
 */
function stressNg(work: number): Program {
  const seconds = 5 * work;
  let caught = 0;
  return {
    command: "stress-ng",
    args: ["--usersyscall", "2", "-t", String(seconds), "--verify", "--metrics"],
    midway: (subject) => (processTree(subject.pid)[2] ?? 0) > 0 && hasRun(subject, 0.1),
    isCaught(directory) {
      if (blockedThreads(directory) > 0) caught++;
      return caught >= 3;
    },
    verify(subject) {
      const told = subject.output() + subject.errors();
      assert.match(told, /successful run completed/);
      assert.doesNotMatch(told, /fail|skip|ENOSYS/i);
      const [, operations, time] = / usersyscall +(\d+) +([\d.]+) /.exec(told)!.map(Number);
      assert.ok(operations! > 1000, `${operations} operations`);
      assert.ok(time! >= seconds - 0.5, `they ran for ${time} seconds`);
    },
  };
}

/** How many threads had dispatch on at the checkpoint and a selector that said so. */
function blockedThreads(directory: string): number {
  const images = openImages(directory);
  if (!images.has(SUD, null)) return 0;
  const BLOCK = 1;
  return images.readList(SUD, null)
    .filter(({ pid, selector }) => readSavedByte(images, pid, selector) === BLOCK).length;
}

/** Whether each child has used so many seconds of processor time. */
function hasRun(subject: Subject, seconds: number): boolean {
  return processTree(subject.pid).slice(1).every((pid) => {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100 > seconds;
  });
}

/** Deno itself: a compiler at work while the program runs, many threads, and locks on its caches. */
function deno(work: number): Program {
  const script = node(3 * work);
  return {
    ...script,
    command: Deno.execPath(),
    args: ["run", "-A", "--no-check", "--no-config", ...script.args],
    // Those of the user are locked by whatever else runs.
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", DENO_DIR: "caches" },
    isCaught: (directory) => openImages(directory).has(FILE_LOCKS, null),
  };
}

/** A database in the middle of a transaction: locks of a process, and a journal. */
function sqlite(work: number): Program {
  const steps = STEPS * work;
  const rows = 3000;
  const insert = (step: number) =>
    "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n " +
    `WHERE i < ${rows}) SELECT ${step}, i * 7919 % ${rows} FROM n; SELECT writefile('step', ${step}), count(*) FROM t;`;
  return {
    command: "sqlite3",
    args: [
      "base.db",
      "CREATE TABLE t(step, value); CREATE INDEX i ON t(value); BEGIN IMMEDIATE; " +
      `${range(steps).map(insert).join(" ")} COMMIT; PRAGMA integrity_check;`,
    ],
    // It writes its output when it ends.
    midway: (subject) => Number(fileIfAny(subject, "step")) > 25,
    isCaught: (directory) => openImages(directory).has(FILE_LOCKS, null),
    verify(subject) {
      const lines = range(steps).map((step) => `${`${step}`.length}|${(step + 1) * rows}`);
      expectOutput(subject, text([...lines, "ok"]));
    },
  };
}

const PROGRAMS: Readonly<Record<string, (work: number) => Program>> = {
  "stress-ng --usersyscall": stressNg,
  "a Python script": python,
  "Python processes that talk through sockets": sockets,
  "a Node script": node,
  "a bash script with children": bash,
  "perl with a child": perl,
  "awk in a file": awk,
  "sort of a file": sort,
  "a full pipeline": gzip,
  "a Deno script": deno,
  "sqlite3 in a transaction": sqlite,
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  Deno.test(`${name} comes to the right end after checkpoint and restore`, async () => {
    await withEnoughToDo(program, killAndRestore);
  });
  Deno.test(`${name} comes to the right end when it is left running, and from its images`, async () => {
    await withEnoughToDo(program, leaveRunningAndRestore);
  });
}

Deno.test("a bash script with children stands ten checkpoints in a row, each in other commands", async () => {
  await withEnoughToDo((work) => bash(3 * work), (program) => killAndRestore(program, 10));
});

Deno.test("stress-ng --usersyscall notices when a worker loses its dispatch", async () => {
  const harness = new URL("../harness/lose_dispatch.c", import.meta.url);
  const robber = await buildProgram(fileURLToPath(harness));
  const program = stressNg(1);
  await using subject = await start(program);
  const worker = processTree(subject.pid).at(-1)!;
  // Most of the time dispatch is off anyway.
  await waitUntil(() => {
    new Deno.Command(robber, { args: [String(worker)] }).outputSync();
    return !isAlive(worker);
  }, "the worker to give up");
  await waitUntil(() => !subject.alive, "stress-ng to end");
  assert.throws(() => program.verify(subject), assert.AssertionError);
});
