/**
 * The part of `deno task demo:vm` that runs in the VM: `save` in the first boot, `restore` in the second.
 * What has to outlive a boot lies in /share.
 *
 *     in_vm.ts save|restore ELAPSED      seconds since the start of the story
 *
 * @module
 */

import { buildProgram } from "../../tests/harness/build.ts";
import { isAlive, waitUntil } from "../../tests/harness/processes.ts";
import { readProgress } from "./accounts.ts";
import { EMULATOR, type Emulator, leaveRunning, settle, start, stasis, work } from "./acts.ts";
import { Narrator } from "./narrator.ts";

const IMAGES = "/share/images";
const NOTES = "/share/notes.json";
/** Pids begin here in the first boot: those that a boot uses up by itself would be taken in the second. */
const FIRST_PID = 5000;

/** What the second boot has to know of the first. */
interface Notes {
  readonly pid: number;
  readonly stdout: string;
  readonly boot: string;
  /** Foreign calls by the time it was saved. */
  readonly saved: number;
}

/** Tells which boot this is; the kernel makes up an id for each. */
function tellBoot(narrator: Narrator): string {
  const release = Deno.readTextFileSync("/proc/sys/kernel/osrelease").trim();
  const boot = Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  const uptime = Deno.readTextFileSync("/proc/uptime").split(".")[0];
  narrator.say(`Inside: Linux ${release}, up for ${uptime} s, boot ${boot}.`);
  return boot;
}

async function save(narrator: Narrator): Promise<void> {
  const boot = tellBoot(narrator);
  const features = JSON.parse(await stasisJson("check")) as { features: { name: string }[] };
  const { name } = features.features.find(({ name }) => name.includes("back end"))!;
  narrator.say(`stasis check says: ${name}. That is the series.`);
  Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", `${FIRST_PID}`);
  // The emulator's files go there too.
  Deno.env.set("TMPDIR", "/share");
  const emulator = await start(narrator, await buildProgram(EMULATOR), "/share/emulator");
  const before = await work(emulator);
  narrator.say(
    `It is in the middle of its work: ${before} foreign calls so far. It is saved and ended:`,
  );
  await stasis(narrator, "checkpoint", String(emulator.pid), "--images-dir", IMAGES);
  if (emulator.alive) throw new Error("the emulator should be gone");
  const saved = readProgress(emulator.output()).at(-1)!.issued;
  const notes: Notes = { pid: emulator.pid, stdout: emulator.stdout, boot, saved };
  Deno.writeTextFileSync(NOTES, JSON.stringify(notes));
}

async function restore(narrator: Narrator): Promise<void> {
  const notes = JSON.parse(Deno.readTextFileSync(NOTES)) as Notes;
  if (tellBoot(narrator) === notes.boot) throw new Error("this is the first boot still");
  if (isAlive(notes.pid)) throw new Error(`there is a process ${notes.pid} already`);
  narrator.say(`There is no process ${notes.pid} here. Its images tell of it, thread by thread:`);
  await stasis(narrator, "inspect", IMAGES);
  narrator.say("It comes back, under the same process ids, each thread with its dispatch armed:");
  await stasis(narrator, "restore", IMAGES, "--detach");
  const emulator = restored(notes);
  const after = await work(emulator);
  if (after <= notes.saved) {
    throw new Error(`it stopped at ${notes.saved} calls and is at ${after} now`);
  }
  narrator.say(
    `It goes on where it stood before the reboot: ${notes.saved} foreign calls then, ${after} by now.`,
  );
  await settle(narrator, emulator, notes.saved);
  await leaveRunning(narrator, await buildProgram(EMULATOR), "/tmp");
}

/** The emulator of the first boot, which is not ours but the VM's init's child. */
function restored({ pid, stdout }: Notes): Emulator {
  const output = () => Deno.readTextFileSync(stdout);
  return {
    output,
    async verdict() {
      Deno.kill(pid, "SIGTERM");
      await waitUntil(() => /^verdict /m.test(output()), "the emulator's verdict", 60_000);
      const failed = [...output().matchAll(/^FAIL (.*)$/gm)].map((match) => match[1]!);
      const pass = /^verdict PASS$/m.test(output()) && failed.length === 0;
      return { pass, ok: [], failed, output: output() };
    },
  };
}

async function stasisJson(command: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", "cli/main.ts", command, "--json"],
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  const [act, elapsed] = Deno.args;
  const narrator = new Narrator(Number(elapsed));
  try {
    await (act === "save" ? save(narrator) : restore(narrator));
    Deno.exit();
  } catch (error) {
    narrator.bad(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
