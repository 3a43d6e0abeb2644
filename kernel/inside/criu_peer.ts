// SPDX-License-Identifier: MIT
/**
 * Runs in the VM: Debian's CRIU restores what Stasis has dumped and the other way round. What came of it
 * is for the subject to say.
 *
 * @module
 */

import { match, notStrictEqual, rejects, strictEqual } from "@std/assert";
import { checkpoint, restore } from "../../mod.ts";
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
