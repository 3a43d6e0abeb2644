/**
 * What is done to a real program that is checkpointed in the middle of its work: the same for all of them.
 *
 * @module
 */
import assert from "@std/assert";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  CheckpointSettings,
  Ending,
  OperationOptions,
  Plugin,
  RestoredTree,
} from "../../mod.ts";
import { checkpoint, restore } from "../harness/operations.ts";
import { Subject } from "../harness/subject.ts";
import { waitUntil } from "../harness/processes.ts";
import { FileBackup } from "./file_backup.ts";
import { Images } from "./images.ts";

/** The path of a program of this directory. */
export function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** The numbers from 0 on. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** A file in the working directory of a program. */
export function file(subject: Subject, name: string): string {
  return Deno.readTextFileSync(`${subject.cwd}/${name}`);
}

/** How long a program may take for what it still has to do; it takes two seconds where nothing else runs. */
const PATIENCE_MS = 60_000;

/** How many checkpoints are made at most to catch it in the state that matters. */
const ATTEMPTS = 60;

/** A program that comes to an end by itself and whose own output tells whether all went well. */
export interface Program {
  /** A command on the PATH, or the path of a program. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What its checkpoints are asked for beyond the usual. */
  readonly options?: OperationOptions;
  /** Take part in its checkpoints and restores. */
  readonly plugins?: readonly Plugin[];
  /** Where it writes beside its working directory: this becomes what it was, too, before another restore. */
  readonly writesTo?: readonly string[];
  /** Makes its input in its working directory. */
  prepare?(cwd: string): Promise<void>;
  /** Whether it has come to the middle of its work. */
  midway(subject: Subject): boolean;
  /**
   * Whether these images caught it in the state that matters. Otherwise another checkpoint is made. Any
   * images do if absent.
   */
  isCaught?(directory: string): boolean;
  /** Looks at what it has written when it has ended, and throws where that is wrong. */
  verify(subject: Subject): void | Promise<void>;
  /** Its exit code. 0 if absent. */
  readonly code?: number;
}

/**
 * Checkpoints a program, which kills it, restores it, and has it come to its end.
 *
 * @param times how often, each time at another moment
 */
export async function killAndRestore(program: Program, times = 3): Promise<void> {
  const { plugins = [] } = program;
  await using images = await Images.create();
  await using subject = await start(program);
  let tree: RestoredTree | undefined;
  let caught = program.isCaught === undefined;
  for (let time = 0; time < times || !caught; time++) {
    assert.ok(time < ATTEMPTS, "it was never caught in the state that matters");
    if (time > 0) await pause(20 + 13 * time % 100);
    const directory = images.next();
    await save(program, subject, { directory, plugins });
    assert.ok(!subject.alive, "it still runs after a checkpoint that should kill it");
    const output = subject.output();
    tree = await restore(directory, { plugins });
    assert.equal(tree.pid, subject.pid);
    assert.ok(subject.output().startsWith(output), "it lost some of its output");
    caught ||= program.isCaught!(directory);
  }
  await expectEnd(program, subject, tree!);
  await program.verify(subject);
}

/**
 * Checkpoints a program that goes on to its end; then, with its files as they were, restores it, and has it
 * come to its end once more.
 */
export async function leaveRunningAndRestore(program: Program): Promise<void> {
  const { plugins = [] } = program;
  await using images = await Images.create();
  await using subject = await start(program);
  let directory: string;
  let files: FileBackup;
  let time = 0;
  do {
    assert.ok(time++ < ATTEMPTS, "it was never caught in the state that matters");
    directory = images.next();
    const written = [dirname(subject.stdout), ...program.writesTo ?? []];
    files = new FileBackup(written, images.next());
    await save(program, subject, {
      directory,
      leaveRunning: true,
      plugins: [files.plugin, ...plugins],
    });
  } while (program.isCaught?.(directory) === false);
  await waitUntil(
    () => !subject.alive,
    () => `the original to end:\n${subject.output().slice(-1000)}${subject.errors()}`,
    PATIENCE_MS,
  );
  await subject.waitGone();
  await program.verify(subject);

  files.putBack();
  await expectEnd(program, subject, await restore(directory, { plugins }));
  await program.verify(subject);
}

/** A program came to its right end before it could be checkpointed: on a busy machine the tool is slow, and it goes on. */
class EndedTooSoon extends Error {}

/**
 * Tries a program, and one that has more to do where it was at its end too soon.
 *
 * @param make makes the program; it has so many times as much to do as usual
 */
export async function withEnoughToDo(
  make: (work: number) => Program,
  scenario: (program: Program) => Promise<void>,
): Promise<void> {
  for (let work = 1;; work *= 2) {
    try {
      return await scenario(make(work));
    } catch (error) {
      if (!(error instanceof EndedTooSoon) || work >= 16) throw error;
    }
  }
}

/** Makes a checkpoint. @throws EndedTooSoon if the program has ended, and rightly, before that */
async function save(program: Program, subject: Subject, settings: CheckpointSettings) {
  try {
    await checkpoint(subject.pid, { ...settings, options: program.options });
  } catch (error) {
    if (subject.alive) throw error;
    await program.verify(subject);
    throw new EndedTooSoon("it was at its end before its checkpoint", { cause: error });
  }
}

/** Starts a program and waits until it is in the middle of its work. */
export async function start(program: Program): Promise<Subject> {
  const subject = await Subject.spawn("/bin/sh", {
    // It waits for its input, which is made in its own directory.
    args: [
      "-c",
      'until [ -e go ]; do sleep 0.01; done; exec "$@"',
      "sh",
      program.command,
      ...program.args,
    ],
    env: program.env,
  });
  try {
    await program.prepare?.(subject.cwd);
    await Deno.writeTextFile(`${subject.cwd}/go`, "");
    await waitUntil(
      () => {
        if (!subject.alive) throw new Error(`it died:\n${subject.output()}${subject.errors()}`);
        return program.midway(subject);
      },
      () => `it to come to the middle of its work:\n${subject.output()}${subject.errors()}`,
      PATIENCE_MS,
    );
    return subject;
  } catch (error) {
    await subject[Symbol.asyncDispose]();
    throw error;
  }
}

async function expectEnd(program: Program, subject: Subject, tree: RestoredTree): Promise<void> {
  const ended = await ending(tree);
  const told = `${subject.output().slice(-1000)}${subject.errors()}`;
  assert.deepEqual(
    ended,
    { code: program.code ?? 0 },
    `it ended with ${JSON.stringify(ended)}:\n${told}`,
  );
}

/** How a restored tree ends. @throws Error where it does not in good time */
export async function ending(tree: RestoredTree): Promise<Ending> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error("it does not come to its end after the restore")),
    PATIENCE_MS,
  );
  try {
    return await Promise.race([tree.wait(), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
