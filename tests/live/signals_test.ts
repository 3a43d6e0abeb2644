import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { Interruptions } from "../../core/linux/interruptions.ts";
import { peekSiginfo } from "../../core/linux/ptrace.ts";
import { beginStop, finishStop } from "../../core/remote/stop_thread.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { checkpoint, restore, type RestoredTree } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { Subject } from "../harness/subject.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, ImageHome, leavesAlone } from "./round_trip.ts";

for (const name of ["sig_altstack", "sig_handlers", "sig_masks", "sig_pending", "sig_stopped"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) => bringsBack(t, name, { args }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}

Deno.test("a process that is stopped is never seen to run, by its parent neither", async () => {
  const source = fileURLToPath(new URL("programs/watches_stopped.c", import.meta.url));
  await using subject = await Subject.run(await buildProgram(source));
  let tree: RestoredTree | undefined;
  for (let round = 0; round < 5; round++) {
    using images = new ImageHome();
    await checkpoint(subject.pid, { directory: `${images.directory}-R`, leaveRunning: true });
    await checkpoint(subject.pid, images);
    await (tree === undefined ? subject.waitGone() : tree.wait());
    tree = await restore(images.directory);
  }
  await subject.expectPass();
  await tree?.wait();
});

Deno.test("peekSiginfo() sees the whole queue, also when signals come to this process meanwhile", async () => {
  await using subject = await Subject.start("sig_pending");
  const { pid } = subject;
  assert.ok(beginStop(pid, 0n));
  const tracee = finishStop(pid, pid, 0n) as Tracee;
  try {
    using _ = new Interruptions();
    const count = peekSiginfo(pid, true).length;
    assert.ok(count > 32, `${count}: no more than one look takes`);
    const begin = performance.now();
    while (performance.now() - begin < 2_000) assert.equal(peekSiginfo(pid, true).length, count);
  } finally {
    tracee.release();
  }
  await subject.expectPass();
});
