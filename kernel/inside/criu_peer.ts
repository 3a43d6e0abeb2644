// SPDX-License-Identifier: MIT
/**
 * Runs in the VM: Debian's CRIU restores what Stasis has dumped and the other way round. What came of it
 * is for the subject to say.
 *
 * @module
 */

import { deepStrictEqual, match, notStrictEqual, ok, rejects, strictEqual } from "@std/assert";
import { relative } from "node:path";
import { checkpoint, directoriesOf, MemoryTracking, openImages, restore } from "../../mod.ts";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { PARENT_PAGES } from "../../images/kinds/memory.ts";
import { processTree, readProcess, waitUntil } from "../../tests/harness/processes.ts";
import { Subject } from "../../tests/harness/subject.ts";
import { UNHURRIED } from "../../tests/harness/unhurried.ts";
import { variantName } from "../../tests/harness/variants.ts";

/** Programs without dispatch, and with nothing else that CRIU 3.17 cannot do. */
const SUBJECTS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["mem_anon"],
  ["mem_cow"],
  ["threads_many", "100"],
  ["pipes", "stream"],
  ["tree_many", "30"],
  ["mem_shared_anon_fork", "2"],
  ["files_regular"],
  ["sig_handlers"],
  ["sig_pending"],
  ["restart_nanosleep", "plain"],
  ["epoll"],
  ["unix_pairs", "stream", "plain"],
  ["unix_pairs", "dgram", "plain"],
  ["unix_pairs", "seqpacket", "plain"],
  ["seccomp_chain", "30"],
  ["seccomp_verdicts"],
  ["seccomp_threads", "tsync", "10"],
  ["seccomp_threads", "grown", "10"],
  ["seccomp_tree"],
];

/** A directory for images that goes with its scope. */
function imageHome() {
  const home = Deno.makeTempDirSync({ prefix: "stasis-peer-" });
  return {
    directory: `${home}/images`,
    [Symbol.dispose]: () => Deno.removeSync(home, { recursive: true }),
  };
}

/** Runs criu; its log tells what went wrong. */
async function criu(action: "dump" | "restore", directory: string, ...args: string[]) {
  const { success } = await new Deno.Command("criu", {
    args: [
      ...[action, "--images-dir", directory, "--work-dir", directory],
      ...["-v4", "--log-file", `${action}.log`, "--manage-cgroups=ignore", ...args],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  if (success) return;
  const log = Deno.readTextFileSync(`${directory}/${action}.log`);
  const errors = log.split("\n").filter((line) => line.includes("Error"));
  throw new Error(`criu ${action} failed:\n${errors.join("\n")}`);
}

for (const [name, ...args] of SUBJECTS) {
  Deno.test(`CRIU restores what Stasis dumped: ${variantName(name, args)}`, async () => {
    using home = imageHome();
    await using subject = await Subject.start(name, { args });
    strictEqual(subject.unsupported, null);
    await checkpoint(subject.pid, { ...home, options: UNHURRIED });
    await subject.waitGone();
    await criu("restore", home.directory, "--restore-detached");
    await subject.expectPass();
  });

  Deno.test(`Stasis restores what CRIU dumped: ${variantName(name, args)}`, async () => {
    using home = imageHome();
    await using subject = await Subject.start(name, { args });
    strictEqual(subject.unsupported, null);
    Deno.mkdirSync(home.directory);
    await criu("dump", home.directory, "--tree", `${subject.pid}`);
    await subject.waitGone();
    const tree = await restore(home.directory);
    await subject.expectPass();
    await tree.wait();
  });
}

/** How many checkpoints follow each other. */
const CHAIN = 4;

/** Has a subject change some of its pages. */
async function step(subject: Subject, number: number): Promise<void> {
  Deno.kill(subject.pid, "SIGUSR1");
  await waitUntil(
    () => subject.facts.get("step") === `${number}`,
    () => `step ${number}: ${subject.output()}`,
  );
}

/** Kills a tree, and waits until its ids are free. */
async function killTree(subject: Subject): Promise<void> {
  const pids = processTree(subject.pid);
  for (const pid of pids) Deno.kill(pid, "SIGKILL");
  await subject.waitGone();
  await waitUntil(() => !pids.some((pid) => readProcess(pid) !== null), `${pids} to be reaped`);
}

/** Makes a chain of a subject whose memory changes in between, and kills it. @returns the last directory */
async function makeChain(
  subject: Subject,
  home: string,
  save: (directory: string, parent: string | undefined) => Promise<void>,
): Promise<string> {
  Deno.mkdirSync(home);
  const at = (number: number) => `${home}/${number}`;
  for (let number = 0; number < CHAIN; number++) {
    if (number > 0) await step(subject, number);
    await save(at(number), number === 0 ? undefined : at(number - 1));
  }
  await killTree(subject);
  return at(CHAIN - 1);
}

Deno.test("CRIU restores a chain that Stasis has made", async () => {
  using home = imageHome();
  await using subject = await Subject.start("pages_changing");
  strictEqual(hasWriteTracking(), false, "this kernel cannot tell what was written to");
  using tracking = new MemoryTracking();
  const sizes: bigint[] = [];
  const last = await makeChain(subject, home.directory, async (directory, parent) => {
    const settings = { directory, parent, tracking, leaveRunning: true, options: UNHURRIED };
    const made = await checkpoint(subject.pid, settings);
    strictEqual(made.parent, parent);
    sizes.push(made.bytes);
  });
  strictEqual(directoriesOf(last).length, CHAIN);
  // What parent and child have in common leads through what stands between.
  const bridges = directoriesOf(last).flatMap((one) => openImages(one).ids(PARENT_PAGES));
  ok(bridges.length > 0);
  ok((sizes.at(-1) ?? 0n) < (sizes[0] ?? 0n) / 3n, `${sizes}`);
  await criu("restore", last, "--restore-detached");
  await subject.expectPass();
});

Deno.test("Stasis restores a chain that CRIU has made", async () => {
  using home = imageHome();
  await using subject = await Subject.start("pages_changing");
  const last = await makeChain(subject, home.directory, async (directory, parent) => {
    Deno.mkdirSync(directory);
    const before = parent === undefined ? [] : ["--prev-images-dir", relative(directory, parent)];
    const options = ["--leave-running", "--track-mem", ...before];
    await criu("dump", directory, "--tree", `${subject.pid}`, ...options);
  });
  deepStrictEqual(Deno.readLinkSync(`${last}/parent`), `../${CHAIN - 2}`);
  const tree = await restore(last);
  await subject.expectPass();
  await tree.wait();
});

/** Makes the version in the inventory CRIU's own: field 1, the number 2 in as many bytes as before. */
function hideVersion(directory: string): void {
  const file = `${directory}/inventory.img`;
  const bytes = Deno.readFileSync(file);
  const at = bytes.findIndex((byte, index) =>
    byte === 0x08 && bytes[index + 1] === 0xea && bytes[index + 2] === 0x07
  );
  notStrictEqual(at, -1);
  bytes.set([0x82, 0x00], at + 1);
  Deno.writeFileSync(file, bytes);
}

Deno.test("CRIU refuses what Stasis dumped of a program with dispatch", async () => {
  using home = imageHome();
  await using subject = await Subject.start("sud_threads", { args: ["4"] });
  await checkpoint(subject.pid, { ...home, options: UNHURRIED });
  await subject.waitGone();
  await rejects(
    () => criu("restore", home.directory, "--restore-detached"),
    /Not supported images version 1002/,
  );
  strictEqual(subject.alive, false);
  // The images are whole all the same.
  const tree = await restore(home.directory);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("CRIU would restore it without its dispatch, were it not for the version", async () => {
  using home = imageHome();
  await using subject = await Subject.start("sud_threads", { args: ["4"] });
  await checkpoint(subject.pid, { ...home, options: UNHURRIED });
  await subject.waitGone();
  hideVersion(home.directory);
  await criu("restore", home.directory, "--restore-detached");
  const { pass, failed } = await subject.verdict();
  strictEqual(pass, false);
  // ENOSYS: a foreign call that Linux got to see.
  match(failed.join(), /dispatched calls of thread 0: .* gave -38, seen 0 times/);
});
