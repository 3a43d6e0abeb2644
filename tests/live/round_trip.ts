/**
 * What live tests of plugins do with a subject: take it away and bring it back, or save it while it runs on.
 *
 * @module
 */
import { deepEqual } from "@std/assert";
import { type OperationOptions, type Problem, StasisError, type StasisEvent } from "../../mod.ts";
import { readStat, readTasks, unlessGone } from "../../core/linux/procfs/mod.ts";
import { checkpoint, restore } from "../harness/operations.ts";
import { processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { diffSnapshots, type Snapshot, takeSnapshot } from "../harness/snapshot.ts";
import { skip } from "../harness/skip.ts";
import { Subject, type SubjectOptions } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";

/** A fresh directory for images that goes with its scope. */
export class ImageHome implements Disposable {
  readonly #home = Deno.makeTempDirSync({ prefix: "stasis-images-" });

  /** Where the images go; it does not exist yet. */
  get directory(): string {
    return `${this.#home}/images`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#home, { recursive: true });
  }
}

/** How long {@link settled} waits for threads to sleep, in milliseconds: some never do. */
const AWAKE = 2000;

/** Whether a thread of the tree runs, or would if there were a processor for it. */
function isAwake(root: number): boolean {
  return processTree(root).some((pid) =>
    unlessGone(() => readTasks(pid), []).some((tid) =>
      ["R", "D"].includes(unlessGone(() => readStat(pid, tid).state, "X"))
    )
  );
}

/**
 * Takes a snapshot of a tree in which nothing changes any more: a child may still be setting itself up, and not even
 * have begun with that.
 *
 * @param ignore facts that never settle
 */
export async function settled(pid: number, ignore?: readonly RegExp[]): Promise<Snapshot> {
  const begin = performance.now();
  await waitUntil(
    () => performance.now() - begin > AWAKE || !isAwake(pid),
    () => `the threads of task ${pid} to sleep`,
  );
  let before = takeSnapshot(pid);
  let now = before;
  await waitUntil(
    () => {
      before = now;
      now = takeSnapshot(pid);
      return diffSnapshots(before, now, { ignore }).length === 0;
    },
    () => `task ${pid} to settle: ${diffSnapshots(before, now).join(", ")}`,
  );
  return now;
}

/** What is compared, and what is not. */
export interface TripOptions extends SubjectOptions {
  /** Facts of the snapshot that the subject changes by its own work. */
  readonly ignore?: readonly RegExp[];
  /** What the checkpoint is to do otherwise than usual. */
  readonly options?: OperationOptions;
  /** Is called when the subject has been looked at first. */
  readonly onStart?: () => void;
}

/**
 * Checkpoints a subject, which kills it, restores it, compares what is seen of it from outside, and has it
 * judge itself.
 */
export async function bringsBack(
  test: Deno.TestContext,
  name: string,
  options: TripOptions = {},
): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, options);
  if (subject.unsupported !== null) return skip(test, subject.unsupported);
  const before = await settled(subject.pid, options.ignore);
  options.onStart?.();
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: { ...UNHURRIED, ...options.options },
  });
  const tree = await restore(images.directory);
  const after = takeSnapshot(subject.pid);
  await subject.expectPass();
  await tree.wait();
  deepEqual(diffSnapshots(before, after, { restored: true, ignore: options.ignore }), []);
}

/** Checkpoints a subject that runs on, and sees to it that it has not changed and does not notice. */
export async function leavesAlone(
  test: Deno.TestContext,
  name: string,
  options: TripOptions = {},
): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, options);
  if (subject.unsupported !== null) return skip(test, subject.unsupported);
  const before = await settled(subject.pid, options.ignore);
  const settings = {
    directory: images.directory,
    options: { ...UNHURRIED, ...options.options },
    leaveRunning: true,
  };
  await checkpoint(subject.pid, settings);
  deepEqual(diffSnapshots(before, takeSnapshot(subject.pid), { ignore: options.ignore }), []);
  await subject.expectPass();
}

/** Checkpoints a subject, which ends by that. */
export async function save(subject: Subject, images: ImageHome): Promise<void> {
  await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
  await subject.waitGone();
}

/** Starts a shell that sets descriptors up and becomes `sleep`; waits until it has. */
export async function startSleeper(setUp: string): Promise<Subject> {
  const subject = await Subject.spawn("/bin/bash", { args: ["-c", `${setUp}\nexec sleep 1000`] });
  try {
    await becomesSleep(subject.pid);
    return subject;
  } catch (error) {
    await subject[Symbol.asyncDispose]();
    throw error;
  }
}

/** Waits until a shell has become `sleep`, or a copy of it, and that has loaded its libraries and sleeps. */
export async function becomesSleep(pid: number, name = "sleep"): Promise<void> {
  // nanosleep(2), clock_nanosleep(2); after a restore it goes on by restart_syscall(2).
  const sleeps = () => /^(35|230|219) /.test(Deno.readTextFileSync(`/proc/${pid}/syscall`));
  await waitUntil(
    () => readProcess(pid)?.comm === name && sleeps(),
    () => `task ${pid} to sleep`,
  );
}

/** What a checkpoint finds that it cannot save; the target must not notice. */
export async function problemsOf(
  pid: number,
  options: OperationOptions = {},
): Promise<readonly Problem[]> {
  using images = new ImageHome();
  const before = await settled(pid);
  try {
    await checkpoint(pid, { directory: images.directory, options });
  } catch (error) {
    if (!(error instanceof StasisError) || error.code !== "unsupported") throw error;
    deepEqual(diffSnapshots(before, takeSnapshot(pid)), []);
    return error.problems;
  }
  throw new Error(`task ${pid} was checkpointed`);
}

/** What is said of objects that any other program of this machine has made meanwhile, as this user. */
const OF_OTHERS = /^the System V .* may be the tree's as well/;

/** Saves a tree that runs on. @returns what was noted of it */
export async function notesOfSaving(pid: number, directory: string): Promise<string[]> {
  const notes: string[] = [];
  await checkpoint(pid, { directory, leaveRunning: true, onEvent: collectNotes(notes) });
  return notes;
}

/** Puts the notes of an operation that are about its tree into a list. */
export function collectNotes(notes: string[]): (event: StasisEvent) => void {
  return (event) => {
    if (event.kind === "note" && !OF_OTHERS.test(event.text)) notes.push(event.text);
  };
}
