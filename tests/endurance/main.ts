/**
 * `deno task test:endure [ROUNDS]`: many checkpoints in a row that leave their target running, as root; 1,000 of an
 * emulator under Syscall User Dispatch, and of a Java virtual machine where there is one.
 *
 * Nothing may grow, neither of the target nor of this process, which makes them all; and the target must be right at
 * the end. Prints a table; the exit status is 1 where something is not so.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { checkpoint } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { Subject } from "../harness/subject.ts";
import { Images } from "../programs/images.ts";
import { grown, heads, type Holdings, holdings, line, TARGETS_OWN, TOOLS_OWN } from "./holdings.ts";
import { hasJava, startJvm } from "./jvm.ts";

async function endure(name: string, subject: Subject, rounds: number): Promise<string[]> {
  await using images = await Images.create();
  console.log(`${name}: the target's and the tool's\n${heads()}`);
  let early: { target: Holdings; tool: Holdings } | undefined;
  let late = { target: holdings(subject.pid), tool: holdings(Deno.pid) };
  const every = Math.max(1, Math.floor(rounds / 10));
  for (let round = 1; round <= rounds; round++) {
    const directory = images.next();
    await checkpoint(subject.pid, { directory, leaveRunning: true });
    Deno.removeSync(directory, { recursive: true });
    await new Promise((resolve) => setTimeout(resolve, 1 + round % 20));
    if (round % every !== 0) continue;
    late = { target: holdings(subject.pid), tool: holdings(Deno.pid) };
    early ??= late;
    console.log(line(round, late.target, late.tool));
  }
  await subject.expectPass(60_000);
  if (early === undefined) return [];
  return [
    ...grown(`the target, ${name},`, early.target, late.target, TARGETS_OWN),
    ...grown(`the tool with ${name}`, early.tool, late.tool, TOOLS_OWN),
  ];
}

if (import.meta.main) {
  const rounds = Number(Deno.args[0] ?? 1_000);
  const wrong: string[] = [];
  const emulator = new URL("../../examples/emulator/emulator.c", import.meta.url);
  {
    await using subject = await Subject.run(await buildProgram(fileURLToPath(emulator)));
    wrong.push(...await endure("the emulator", subject, rounds));
  }
  if (await hasJava()) {
    await using jvm = await startJvm();
    wrong.push(...await endure("the JVM", jvm, rounds));
  } else console.log("SKIPPED the JVM: there is no java on the PATH");
  for (const what of wrong) console.log(`FAILED ${what}`);
  console.log(wrong.length === 0 ? "nothing grew" : `${wrong.length} things grew`);
  if (wrong.length > 0) Deno.exitCode = 1;
}
