/**
 * A restore that is killed, at whatever moment: no process is left of it and no name, and the images can be restored
 * afterwards as if nothing had been; or all of the tree lives on.
 */
import { deepEqual, equal } from "@std/assert";
import { isErrno } from "../../core/linux/errno.ts";
import { O } from "../../core/linux/fcntl.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import {
  readProcesses,
  readQueues,
  readSegments,
  readSemaphores,
  readStat,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { checkpoint, planRestore, restore } from "../../mod.ts";
import { onHierarchies } from "../harness/control_groups.ts";
import { actAtMoment, killTool } from "../harness/kill_at_call.ts";
import { isAlive, processTree, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
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
    `${name} ${inodeOf(name) ?? "gone meanwhile"}`
  );
}

/** @returns undefined where the name has just been given to another place */
function inodeOf(path: string): number | null | undefined {
  try {
    return Deno.lstatSync(path).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
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

/** A tool that is killed at a call of the seed's program, or when the tree is built, or when its maker has ended. */
const KILLED = `
import { Maker } from "${new URL("../../core/restore/maker.ts", import.meta.url)}";
import { planRestore, restore } from "${new URL("../../mod.ts", import.meta.url)}";
const [directory, call, mode] = Deno.args;
const plan = await planRestore(directory, { options: { manageCgroups: mode } });
const kill = { name: "kill", args: [Deno.pid, 9], required: true };
const { end } = Maker.prototype;
if (call === "built") plan.tasks[0].program("close").calls.push(kill);
else if (call === "ended") {
  Maker.prototype.end = function () {
    end.call(this);
    Deno.kill(Deno.pid, "SIGKILL");
  };
} else plan.seed.calls[Number(call)] = kill;
await restore(plan);
`;

/** Those of the objects that a program makes which this machine has: System V ones, and names of queues. */
function objectsOf(seed: SyscallProgram): string[] {
  const read = { shmget: readSegments, semget: readSemaphores, msgget: readQueues };
  return seed.calls.flatMap(({ name, args, expect }) => {
    if (name === "shmget" || name === "semget" || name === "msgget") {
      return read[name]().some(({ id }) => BigInt(id) === expect) ? [`${name} ${expect}`] : [];
    }
    if (name !== "mq_open") return [];
    const fd = syscall(SYSCALLS.mq_open, cString(args[0] as string), O.RDONLY, 0, 0);
    if (isErrno(fd)) return [];
    syscall(SYSCALLS.close, fd);
    return [args[0] as string];
  });
}

/** Takes all of them away, as a reboot would. */
function removeObjects({ facts }: Subject): void {
  for (const [name, option] of [["shm", "-m"], ["detached", "-m"], ["sem", "-s"], ["msg", "-q"]]) {
    const id = facts.get(name as string);
    if (id !== undefined) {
      new Deno.Command("ipcrm", { args: [option as string, id], stderr: "null" }).outputSync();
    }
  }
  const name = facts.get("name");
  if (name !== undefined) syscall(SYSCALLS.mq_unlink, cString(name.slice(1)));
}

/** Whether a task that makes objects lives, of any restore. */
function makerLives(): boolean {
  return readProcesses().some((pid) => {
    const stat = unlessGone(() => readStat(pid), undefined);
    return stat?.comm === "stasis-maker" && stat.state !== "Z" && stat.state !== "X";
  });
}

/** Runs a tool. @returns whether it was killed, rather than came to its end */
async function isKilled(command: string, args: readonly string[]): Promise<boolean> {
  const done = await new Deno.Command(command, { args: [...args], stdin: "null" }).output();
  if (done.signal === "SIGKILL") return true;
  equal(done.success, true, new TextDecoder().decode(done.stderr));
  return false;
}

for (const name of ["sysv_ipc", "mqueue"]) {
  Deno.test(`a restore of ${name} that is killed leaves no objects`, async (t) => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name);
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    using _ = { [Symbol.dispose]: () => removeObjects(subject) };
    const directory = room.fresh();
    const script = `${subject.cwd}/../tool.ts`;
    await checkpoint(subject.pid, { directory });
    await subject.waitGone();
    removeObjects(subject);
    const { seed } = await planRestore(directory);
    // Some are before a call that makes something or behind it, and none is missed.
    const harmless = seed.calls.flatMap(({ name }, index) =>
      name === "close" || name === "fchmod" ? [`${index}`] : []
    );
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const tool = ["run", "-A", "--no-check", "--config", config, script, directory];
    const left = () => objectsOf(seed);
    const nothingLeft = async (when: string) => {
      const gone = () => left().length === 0 && !subject.alive;
      await waitUntil(gone, () => `${when}: ${left()} to be gone`);
    };
    Deno.writeTextFileSync(script, KILLED);
    for (const call of [...harmless, "built", "ended"]) {
      equal(await isKilled(Deno.execPath(), [...tool, call]), true);
      await nothingLeft(`call ${call}`);
    }
    await waitUntil(() => !makerLives(), "the makers to have ended");
    Deno.writeTextFileSync(script, DETACHED);
    equal(await isKilled(Deno.execPath(), tool), false);
    equal(left().length > 0, true);
    await subject.expectPass();
  });
}

Deno.test(
  "a restore that is killed leaves no control groups",
  onHierarchies([""], async (_, hierarchy) => {
    using room = new ImageRoom();
    const group = hierarchy.make(), inner = hierarchy.make(`${group.path.slice(1)}/inner`);
    await using subject = await Subject.start("tree_many", { args: ["5"] });
    for (const pid of processTree(subject.pid)) inner.enter(pid);
    const directory = room.fresh();
    const script = `${subject.cwd}/../tool.ts`;
    Deno.writeTextFileSync(script, KILLED);
    await checkpoint(subject.pid, { directory });
    await subject.waitGone();
    await inner.remove();
    await group.remove();
    const { seed } = await planRestore(directory, { options: { manageCgroups: "soft" } });
    // Each is behind a call that makes something.
    const behind = seed.calls.flatMap(({ name }, index) => name === "fchmodat" ? [`${index}`] : []);
    equal(behind.length >= 2, true);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const tool = ["run", "-A", "--no-check", "--config", config, script, directory];
    for (const call of [...behind, "built", "ended"]) {
      equal(await isKilled(Deno.execPath(), [...tool, call, "soft"]), true);
      const gone = () => !group.exists && !subject.alive;
      await waitUntil(gone, () => `call ${call}: the control group ${group.path} to be gone`);
    }
    await waitUntil(() => !makerLives(), "the makers to have ended");
    const tree = await restore(directory, { options: { manageCgroups: "soft" } });
    equal(inner.exists, true);
    await subject.expectPass();
    await tree.wait();
  }),
);

Deno.test("a restore that is killed while it lets go of a tree leaves all of it or nothing", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("tree_many", { args: ["6"] });
  const directory = room.fresh();
  const pids = processTree(subject.pid);
  await checkpoint(subject.pid, { directory });
  const restoring = ["restore", directory, "--detach"];
  const gone = () => waitUntil(() => !pids.some(isTaken), "the tree to be gone");
  await gone();
  const count = new Map<string, number>();
  const trial = await actAtMoment(restoring, Infinity, undefined, (call) => {
    count.set(call, (count.get(call) ?? 0) + 1);
  });
  equal(trial.status.code, 0, trial.stderr);
  // In the middle of what has each task outlive the tool; before it is said that all do; and while they are let go of.
  for (const call of ["ptrace SETOPTIONS", "kill", "ptrace DETACH"]) {
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    await gone();
    let wait = count.get(call) as number - (call === "kill" ? 3 : pids.length);
    const isNow = (here: string) => here === call && --wait === 0;
    const run = await actAtMoment(restoring, isNow, killTool, undefined, pids);
    equal(run.call, call, run.stderr);
    const survivors = call === "ptrace DETACH" ? pids : [];
    const left = () => pids.filter(isAlive);
    await waitUntil(() => left().length === survivors.length, () => `${call}: ${left()} live`);
  }
  await subject.expectPass();
});

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
    await waitUntil(() => !subject.alive, () => `rename ${rename}: task ${subject.pid} to be gone`);
  }
  await subject.expectPass();
});
