import { equal, match } from "@std/assert";
import { bringsBack, leavesAlone, problemsOf, startSleeper } from "./round_trip.ts";

for (const name of ["pipes", "fifo"]) {
  Deno.test(`${name}: it is what it was after a restore`, (t) => bringsBack(t, name));
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) => leavesAlone(t, name));
}

Deno.test("a fifo that a process outside has open is refused, and named", async () => {
  const fifo = await Deno.makeTempFile({ prefix: "stasis-fifo-" });
  await Deno.remove(fifo);
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  {
    using _held = await Deno.open(fifo, { read: true, write: true });
    await using subject = await startSleeper(`exec 5<>${fifo}`);
    const problems = await problemsOf(subject.pid);
    equal(problems.length, 1);
    match(problems[0]?.what ?? "", new RegExp(`fifo ${fifo}, which task ${Deno.pid} .* outside`));
  }
  await Deno.remove(fifo);
});
