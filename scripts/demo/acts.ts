/**
 * What the demos consist of: starting the emulator, letting it work, and settling its accounts.
 *
 * @module
 */

import { Subject } from "../../tests/harness/subject.ts";
import { Accounts, compareAccounts, readProgress } from "./accounts.ts";
import type { Narrator } from "./narrator.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** The source of the emulator. */
export const EMULATOR = `${ROOT}examples/emulator/emulator.c`;
const THREADS = 4;

/** Why all this, for somebody who has never heard of it. */
export const INTRODUCTION =
  "Some programs on Linux run code of another system: Wine, sandboxes, emulators. That code makes system " +
  "calls which Linux must not answer, so the kernel hands each of them back (Syscall User Dispatch, SUD) " +
  "and the program answers it itself. A checkpoint must neither lose such a call nor let Linux have it.";

/** An emulator at work: a {@link Subject}, or one that was restored and is nobody's child. */
export type Emulator = Pick<Subject, "output" | "verdict">;

/** Lets the emulator work for a while and returns what it has counted by then. */
export async function work(emulator: Emulator, more = 3): Promise<number> {
  const before = readProgress(emulator.output()).length;
  const end = performance.now() + 30_000;
  while (readProgress(emulator.output()).length < before + more) {
    if (performance.now() > end) throw new Error("the emulator stands still");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return readProgress(emulator.output()).at(-1)!.issued;
}

/** Shows a command of stasis, runs it and shows what it says. */
export async function stasis(narrator: Narrator, ...args: string[]): Promise<void> {
  narrator.command(`stasis ${args.join(" ")}`);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", `${ROOT}cli/main.ts`, ...args],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  narrator.output(text);
  if (!success) throw new Error(`stasis ${args[0]} failed`);
}

/** Asks the emulator to stop and to settle its accounts. */
export async function settle(
  narrator: Narrator,
  emulator: Emulator,
  atLeast: number,
): Promise<void> {
  narrator.say("Now the emulator is asked to stop and to compare what all sides have counted:");
  const verdict = await emulator.verdict();
  const accounts = Accounts.parse(verdict.output);
  narrator.output(accounts.table().join("\n"));
  const wrong = compareAccounts(accounts, atLeast);
  if (!verdict.pass || wrong.length > 0) {
    throw new Error(["the accounts do not agree", ...wrong, ...verdict.failed].join("\n  "));
  }
  narrator.good(
    `${accounts.issued} foreign calls, every one emulated exactly once: none lost, none leaked to Linux, ` +
      "none seen twice.",
  );
}

/** Starts the emulator in a directory of its own and says what it does. */
export async function start(narrator: Narrator, program: string, cwd: string): Promise<Subject> {
  await Deno.mkdir(cwd);
  const emulator = await Subject.run(program, { args: [String(THREADS)], cwd });
  const child = emulator.fact("child");
  narrator.say(
    `It runs as process ${emulator.pid} with ${THREADS} foreign programs in threads of their own, and one more ` +
      `in its child ${child}. They append to a file and talk through a pipe.`,
  );
  return emulator;
}

/** A snapshot of something that runs on. */
export async function leaveRunning(
  narrator: Narrator,
  program: string,
  home: string,
): Promise<void> {
  narrator.heading("The same, while it runs on");
  await using emulator = await start(narrator, program, `${home}/second`);
  const before = await work(emulator);
  const images = `${home}/images-2`;
  const pid = String(emulator.pid);
  await stasis(narrator, "checkpoint", pid, "--images-dir", images, "--leave-running");
  if (!emulator.alive) throw new Error("the emulator should have run on");
  const after = await work(emulator);
  narrator.say(
    `It has been saved and never ended: ${before} foreign calls before, ${after} after.`,
  );
  await settle(narrator, emulator, after);
}
