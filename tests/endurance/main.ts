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
import { readProcess } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { Images } from "../programs/images.ts";

/** What a process holds. Memory in KiB. */
interface Holdings {
  readonly descriptors: number;
  readonly mappings: number;
  readonly threads: number;
  readonly memory: number;
}

function holdings(pid: number): Holdings {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return {
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    mappings: Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n").length - 1,
    threads: readProcess(pid)?.threads ?? 0,
    memory: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
  };
}

/** How much more the target may hold at the end than after a tenth: what its own work makes of it. */
const TARGETS_OWN: Holdings = { descriptors: 0, mappings: 8, threads: 0, memory: 8 * 1024 };
/** The same of the tool, whose heap grows and shrinks, in a mapping for each of V8's pages. */
const TOOLS_OWN: Holdings = { descriptors: 0, mappings: 250, threads: 0, memory: 64 * 1024 };

function grown(what: string, early: Holdings, late: Holdings, own: Holdings): string[] {
  const kinds = Object.keys(own) as (keyof Holdings)[];
  return kinds.filter((kind) => late[kind] > early[kind] + own[kind])
    .map((kind) => `${kind} of ${what} grew from ${early[kind]} to ${late[kind]}`);
}

function line(round: number, target: Holdings, tool: Holdings): string {
  const cells = [target, tool].flatMap(({ descriptors, mappings, threads, memory }) => [
    descriptors,
    mappings,
    threads,
    `${memory} KiB`,
  ]);
  return [round, ...cells].map((cell) => String(cell).padStart(12)).join("");
}

async function endure(name: string, subject: Subject, rounds: number): Promise<string[]> {
  await using images = await Images.create();
  const heads = ["descriptors", "mappings", "threads", "memory"].map((head) => head.padStart(12));
  console.log(
    `${name}: the target's and the tool's\n${"round".padStart(12)}${heads.join("")}${
      heads.join("")
    }`,
  );
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

async function startJvm(): Promise<Subject> {
  const source = fileURLToPath(new URL("Busy.java", import.meta.url));
  // A heap of one size, all of it touched: what grows is not Java's.
  const heap = ["-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch"];
  const jvm = await Subject.spawn("java", { args: [...heap, source] });
  await jvm.waitReady(60_000);
  return jvm;
}

if (import.meta.main) {
  const rounds = Number(Deno.args[0] ?? 1_000);
  const wrong: string[] = [];
  const emulator = new URL("../../examples/emulator/emulator.c", import.meta.url);
  {
    await using subject = await Subject.run(await buildProgram(fileURLToPath(emulator)));
    wrong.push(...await endure("the emulator", subject, rounds));
  }
  if ((await new Deno.Command("sh", { args: ["-c", "command -v java"] }).output()).success) {
    await using jvm = await startJvm();
    wrong.push(...await endure("the JVM", jvm, rounds));
  } else console.log("SKIPPED the JVM: there is no java on the PATH");
  for (const what of wrong) console.log(`FAILED ${what}`);
  console.log(wrong.length === 0 ? "nothing grew" : `${wrong.length} things grew`);
  if (wrong.length > 0) Deno.exitCode = 1;
}
