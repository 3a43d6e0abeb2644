/**
 * A restore that is killed, at whatever moment: no process is left of it and no name; and the images can be restored afterwards as if nothing had been.
 */
import { deepEqual, equal } from "@std/assert";
import { checkpoint, planRestore, restore } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { ImageRoom, isTaken } from "../harness/unharmed.ts";

/** A tool that says when it begins to build, and lives on then. */
const TOOL = `
import { planRestore, restore } from "${new URL("../../mod.ts", import.meta.url)}";
const plan = await planRestore(Deno.args[0]);
console.log("planned");
await restore(plan);
await new Promise((resolve) => setTimeout(resolve, 60_000));
`;

/** How many times a restore is killed, each later than the one before. */
const KILLS = Number(Deno.env.get("STASIS_TEST_KILLS") ?? 5);

/** Every name below a directory. */
function namesBelow(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    return [path, ...isDirectory ? namesBelow(path) : []];
  }).sort();
}

/** Every name below a directory with the inode behind it, but for private ones. */
function filesBelow(directory: string): string[] {
  return namesBelow(directory).filter((name) => !isPrivate(name)).map((name) =>
    `${name} ${Deno.lstatSync(name).ino}`
  );
}

/** The names of this directory that only the next restore deletes. */
const isPrivate = (name: string) => /\/\.names\.partial-/.test(name);

/** Starts a restore and kills it, so many milliseconds after it was planned. */
async function restoreAndKill(script: string, directory: string, delay: number): Promise<void> {
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const tool = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script, directory],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = tool.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  equal(value, "planned\n");
  await new Promise((resolve) => setTimeout(resolve, delay));
  tool.kill("SIGKILL");
  await tool.status;
  await reader.cancel();
}

for (const name of ["unix_service", "ghosts"]) {
  Deno.test(`a restore of ${name} that is killed leaves neither processes nor names`, async () => {
    using room = new ImageRoom();
    const args = name === "unix_service" ? ["stream"] : [];
    await using subject = await Subject.start(name, { args });
    const directory = room.fresh();
    const script = `${subject.cwd}/../tool.ts`;
    Deno.writeTextFileSync(script, TOOL);
    await checkpoint(subject.pid, { directory });
    await subject.waitGone();
    const plan = await planRestore(directory);
    const ids = plan.tasks.flatMap(({ threads }) => threads.map(({ tid }) => tid));
    const before = namesBelow(subject.cwd);
    let whole = 300;
    for (let kill = 0; kill < KILLS; kill++) {
      await restoreAndKill(script, directory, whole * kill / KILLS);
      // What ran already lives on without the tool that has restored it.
      const runs = subject.alive;
      if (runs) {
        await subject.kill();
        whole *= 0.8;
      }
      await waitUntil(() => !ids.some(isTaken), "the killed tree to be gone");
      if (runs) continue;
      // A task that outlives the tool by a moment takes its names away.
      const left = () => namesBelow(subject.cwd).filter((one) => !isPrivate(one));
      await waitUntil(() => left().length === before.length, () => `${left()} to be ${before}`);
      deepEqual(left(), before);
    }
    const tree = await restore(directory);
    deepEqual(namesBelow(subject.cwd).filter(isPrivate), []);
    await subject.expectPass();
    await tree.wait();
  });
}

/** A tool that ends as soon as the tree runs. */
const DETACHED = `
import { restore } from "${new URL("../../mod.ts", import.meta.url)}";
await restore(Deno.args[0]);
`;

Deno.test("a restore that is killed among its last renames leaves every name to the file that had it", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("unix_service", { args: ["stream"] });
  const directory = room.fresh();
  const script = `${subject.cwd}/../tool.ts`;
  Deno.writeTextFileSync(script, DETACHED);
  await checkpoint(subject.pid, { directory });
  await subject.waitGone();
  // One of the names is free by then, the others are those of sockets that nobody is bound to any more.
  const [free] = namesBelow(subject.cwd).filter((name) => Deno.lstatSync(name).isSocket);
  Deno.removeSync(free as string);
  const before = filesBelow(subject.cwd);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  for (let rename = 1;; rename++) {
    const inject = `inject=renameat2:signal=SIGKILL:when=${rename}`;
    const run = ["run", "-A", "--no-check", "--config", config, script, directory];
    const { success } = await new Deno.Command("strace", {
      args: [
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=renameat2",
        "-e",
        inject,
        Deno.execPath(),
        ...run,
      ],
      stdin: "null",
    }).output();
    if (success) {
      equal(subject.alive, true);
      equal(rename > 3, true, `only ${rename} renames`);
      break;
    }
    const left = () => filesBelow(subject.cwd);
    const same = () => JSON.stringify(left()) === JSON.stringify(before);
    await waitUntil(same, () => `rename ${rename}: ${left()} to be ${before}`);
    equal(subject.alive, false);
  }
  await subject.expectPass();
});
