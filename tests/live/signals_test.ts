import assert from "@std/assert";
import { Interruptions } from "../../core/linux/interruptions.ts";
import { peekSiginfo } from "../../core/linux/ptrace.ts";
import { beginStop, finishStop } from "../../core/remote/stop_thread.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { Subject } from "../harness/subject.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

/** A process that is let go with a stop signal takes it a moment later; the subject sees for itself that it did. */
const ignore = [/\/state$/];

for (const name of ["sig_altstack", "sig_handlers", "sig_masks", "sig_pending", "sig_stopped"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) =>
      bringsBack(t, name, { args, ignore }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}

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
