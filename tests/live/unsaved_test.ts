/**
 * What is not saved is said: in a note where a program would hardly notice, by a refusal where it would. Either way
 * a program that runs on has all of it still.
 */

import { equal, match } from "@std/assert";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkpoint, StasisError } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { processTree } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { becomesSleep, collectNotes, ImageHome, settled, startSleeper } from "./round_trip.ts";

async function start(...args: string[]): Promise<Subject> {
  return await run("unsaved", args);
}

/** Starts a program of this folder. */
async function run(name: string, args: readonly string[]): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source), { args });
}

/** Checkpoints a program that runs on. @returns what the user was told of it */
async function notesOf(pid: number): Promise<string[]> {
  using images = new ImageHome();
  const notes: string[] = [];
  const before = await settled(pid);
  await checkpoint(pid, {
    directory: images.directory,
    leaveRunning: true,
    onEvent: collectNotes(notes),
  });
  equal(diffSnapshots(before, takeSnapshot(pid)).join("\n"), "");
  return notes;
}

for (
  const [what, says] of [
    ["landlock", /^task \d+ is shut out of files by a security module \(Landlock, it seems\)/],
    ["slack", /^thread \d+ has a timer slack of 0, which cannot be set: it will have the default/],
    ["session", /^thread \d+ of task \d+ has another session keyring than this tool: .* are lost/],
    ["threadchild", /^task \d+ wants a signal at the end of thread \d+ of task \d+, which made it/],
    ["core", /^task \d+ has ended with a core dump: its parent will be told of the signal alone/],
  ] as const
) {
  Deno.test(`${what}: the user is told that it is lost, and the program has it still`, async (t) => {
    await using subject = await start(what);
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const notes = await notesOf(subject.pid);
    equal(notes.length, 1, notes.join("\n"));
    match(notes[0]!, says);
    await subject.expectPass();
  });
}

Deno.test("the nice value of a session that is led from outside of the tree is named", async (t) => {
  if (!existsSync("/proc/self/autogroup")) return skip(t, "this kernel has no autogroups");
  await using leader = await startSleeper("sleep 1000 & echo 3 >/proc/$$/autogroup");
  const pid = processTree(leader.pid).find((pid) => pid !== leader.pid) as number;
  await becomesSleep(pid);
  const [note, ...more] = await notesOf(pid);
  equal(more.join("\n"), "");
  equal(
    note,
    `session ${leader.pid} has the nice value 3 (autogroup), which a restored one has not`,
  );
});

/** What a checkpoint says that is refused when the target stands still already. */
async function refusalOf(pid: number): Promise<StasisError> {
  using images = new ImageHome();
  const before = await settled(pid);
  try {
    await checkpoint(pid, images);
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    equal(error.code, "unsupported");
    equal(diffSnapshots(before, takeSnapshot(pid)).join("\n"), "");
    return error;
  }
  throw new Error(`task ${pid} was checkpointed`);
}

Deno.test("a process that traces another one outside of the tree is refused, and left alone", async () => {
  await using traced = await startSleeper("true");
  await using subject = await start("tracer", String(traced.pid));
  match(
    (await refusalOf(subject.pid)).message,
    /traces another one outside of the tree \(ptrace\)/,
  );
  await subject.expectPass();
});

Deno.test("a thread with a keyring of its own is refused, and left alone", async (t) => {
  await using subject = await start("keys");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  match((await refusalOf(subject.pid)).message, /has a keyring of its own/);
  await subject.expectPass();
});

/** What `refused.c` sets up, and what is said of it. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  ldt: /has a local descriptor table \(modify_ldt\)/,
  pkey: /has protection key \d+/,
  userfaultfd: /descriptor \d+ .*userfaultfd/,
  secret: /is secret memory \(memfd_secret\)/,
  device: /descriptor \d+ .*\/dev\/kmsg/,
  pidfd: /descriptor \d+ stands for process \d+ .* outside of the tree \(pidfd\)/,
  io_uring: /io_uring/,
  perf: /descriptor \d+ .*perf_event/,
  bpf: /descriptor \d+ .*bpf-map/,
  files: /a descriptor table of its own \(unshare\(CLONE_FILES\)\)/,
  namespace: /it is in another namespace than its process: host name/,
  flusher: /it is an I\/O flusher/,
  bound: /is bound to a network interface \(SO_BINDTODEVICE\)/,
};

for (const [what, says] of Object.entries(REFUSED)) {
  Deno.test(`${what}: the program is refused, and left alone`, async (t) => {
    await using subject = await run("refused", [what]);
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const refusal = await refusalOf(subject.pid);
    const { message, problems } = refusal;
    match([message, ...problems.map(({ what }) => what)].join("\n"), says);
    // Whoever is refused is told what to do.
    for (const one of problems.length > 0 ? problems : [refusal]) match(one.hint ?? "", /./);
    await subject.expectPass();
  });
}
