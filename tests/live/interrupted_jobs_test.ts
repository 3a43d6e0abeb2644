/** Jobs that are killed and stopped at any moment: `deno task test:jobs` does it a hundred times to each. */

import { equal, ok } from "@std/assert";
import { fileURLToPath } from "node:url";
import { buildProgram } from "../harness/build.ts";
import { skip } from "../harness/skip.ts";
import { AskingClient, freePort } from "../jobs/asking_client.ts";
import { expectSteps, type Interruptions, JobRoom, runInterrupted } from "../jobs/interrupted.ts";
import { backend } from "./dispatch.ts";

const program = (name: string) =>
  fileURLToPath(new URL(`../jobs/programs/${name}`, import.meta.url));

/** Whether this is `deno task test:jobs`. */
const MANY = Deno.env.has("STASIS_MANY_JOBS");
/** How often each job is interrupted; less often where it is one test of many. */
const ROUNDS = Number(Deno.env.get("STASIS_JOB_ROUNDS") ?? 100);
ok(Number.isInteger(ROUNDS), "STASIS_JOB_ROUNDS is a number");
/** So many that no job ends before it was interrupted so often, as long as the machine is not too busy to look. */
const STEPS = MANY ? 100 * ROUNDS : 300;
const PAUSE = "0.01";

/** Moments between two times, in milliseconds. */
const between = (least: number, most: number) => () => least + Math.random() * (most - least);
const moment = between(100, 1300);

type Signal = Interruptions["signal"];

/** Interrupts a job. What was not interrupted shows nothing, and where it was to be a hundred times it was to be that. */
async function interrupt(
  t: Deno.TestContext,
  room: JobRoom,
  interruptions: Interruptions,
): Promise<void> {
  const count = await runInterrupted(room, interruptions);
  if (MANY) equal(count, interruptions.rounds, "so often it was interrupted before it ended");
  if (count === 0) skip(t, "the job ended before it could be interrupted");
}

/** Interrupts a program that writes a line a step to a file. */
async function writesEachLineOnce(
  t: Deno.TestContext,
  words: (out: string) => readonly string[],
  signal: Signal,
  rounds: number,
  { steps = STEPS, ...options }: Pick<Partial<Interruptions>, "moment" | "options"> & {
    readonly steps?: number;
  } = {},
): Promise<void> {
  using room = new JobRoom();
  const out = `${room.path}/out`;
  const writes = signal === "SIGKILL" ? out : undefined;
  await interrupt(t, room, { command: words(out), rounds, signal, moment, writes, ...options });
  expectSteps(Deno.readTextFileSync(out), steps, room);
}

const counter = (out: string) => ["python3", program("counter.py"), String(STEPS), out, PAUSE];
const pipes = (out: string) => ["sh", program("pipes.sh"), String(STEPS), out, PAUSE];

Deno.test("run: a job that is killed again and again, and stasis with it, writes each line once", (t) =>
  writesEachLineOnce(t, counter, "SIGKILL", MANY ? ROUNDS : 2));

Deno.test("run: a tree with pipes that is stopped by SIGTERM goes on by the same command line", (t) =>
  writesEachLineOnce(t, pipes, "SIGTERM", MANY ? ROUNDS : 1));

async function interruptEmulator(t: Deno.TestContext, signal: Signal): Promise<void> {
  if (!backend.usable) return skip(t, "dispatch cannot be suspended");
  const emulator = await buildProgram(program("emulator.c"));
  const words = (out: string) => [emulator, String(STEPS), out, PAUSE];
  await writesEachLineOnce(t, words, signal, MANY ? ROUNDS : 1);
}

Deno.test("run: an emulator under Syscall User Dispatch, killed", (t) =>
  interruptEmulator(t, "SIGKILL"));

/** The steps that are in a database. */
async function rows(path: string): Promise<string> {
  const select = "import sqlite3, sys\n" +
    "for row in sqlite3.connect(sys.argv[1]).execute('select step from steps order by rowid'): print(*row)";
  const { stdout } = await new Deno.Command("python3", { args: ["-c", select, path] }).output();
  return new TextDecoder().decode(stdout);
}

/** One that was killed is refused: see jobs_test.ts. */
async function stopDatabase(t: Deno.TestContext): Promise<void> {
  using room = new JobRoom();
  const out = `${room.path}/out.db`;
  const command = ["python3", program("table.py"), String(STEPS), out, PAUSE];
  await interrupt(t, room, { command, rounds: ROUNDS, signal: "SIGTERM", moment });
  expectSteps(await rows(out), STEPS, room);
}

async function interruptJvm(t: Deno.TestContext, signal: Signal): Promise<void> {
  const found = await new Deno.Command("sh", { args: ["-c", "command -v javac"] }).output();
  if (!found.success) return skip(t, "there is no javac");
  const java = ["java", "-Xmx64m", "-XX:+PerfDisableSharedMem"];
  // It is interrupted later, since it takes longer to start, and loses nothing where it is stopped.
  const steps = 3 * STEPS;
  const words = (out: string) => [...java, program("Steps.java"), String(steps), out, PAUSE];
  await writesEachLineOnce(t, words, signal, ROUNDS, { moment: between(100, 3000), steps });
}

async function interruptServer(t: Deno.TestContext, signal: Signal): Promise<void> {
  const port = freePort();
  await using client = new AskingClient(port);
  const words = (
    out: string,
  ) => ["python3", program("server.py"), String(STEPS), out, String(port)];
  await writesEachLineOnce(t, words, signal, ROUNDS, { options: ["--tcp-close"] });
  ok(client.connections > 1, "the client had to connect again");
}

// Otherwise those above stand for them.
if (MANY) {
  Deno.test("run: a counter, stopped", (t) => writesEachLineOnce(t, counter, "SIGTERM", ROUNDS));
  Deno.test("run: a tree with pipes, killed", (t) =>
    writesEachLineOnce(t, pipes, "SIGKILL", ROUNDS));
  Deno.test("run: an emulator under Syscall User Dispatch, stopped", (t) =>
    interruptEmulator(t, "SIGTERM"));
  Deno.test("run: a database, stopped", stopDatabase);
  for (const [signal, how] of [["SIGKILL", "killed"], ["SIGTERM", "stopped"]] as const) {
    Deno.test(`run: a JVM, ${how}`, (t) => interruptJvm(t, signal));
    Deno.test(`run: a server with a client that reconnects, ${how}`, (t) =>
      interruptServer(t, signal));
  }
}
