/** Jobs: what stops them, what is refused, and what becomes of files. Those that are killed at any moment: interrupted_jobs_test.ts. */

import { deepEqual, equal, match } from "@std/assert";
import { fileURLToPath } from "node:url";
import { cancelInside } from "../../jobs/save.ts";
import { readProcess, takePid, waitUntil } from "../harness/processes.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import { JobRoom, steps } from "../jobs/interrupted.ts";
import { becomesSleep, startSleeper } from "./round_trip.ts";

const program = (name: string) =>
  fileURLToPath(new URL(`../jobs/programs/${name}`, import.meta.url));

const PAUSE = "0.01";

/** Waits for a checkpoint. */
async function saved(room: JobRoom, number: number): Promise<void> {
  const whole = `${room.store}/${number}/inventory.img`;
  const isThere = () => Array.from(glob(room.store)).includes(String(number)) && exists(whole);
  await waitUntil(isThere, () => `checkpoint ${number}:\n${room.log}`, 60_000);
}

const glob = function* (path: string) {
  try {
    for (const { name } of Deno.readDirSync(path)) yield name;
  } catch {
    // It is not there yet.
  }
};

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}

Deno.test("run: a database that was written to after the last checkpoint is refused, and by name", async () => {
  using room = new JobRoom();
  const out = `${room.path}/out.db`;
  const words = ["run", "--every", "1h", "-D", room.store, "--"];
  const command = ["python3", program("table.py"), "100000", out, PAUSE];
  const child = room.start([...words, ...command]);
  await waitUntil(() => exists(out), () => `the database:\n${room.log}`, 60_000);
  child.kill("SIGUSR1");
  await saved(room, 2);
  const { mtime } = Deno.statSync(out);
  await waitUntil(() => Deno.statSync(out).mtime?.getTime() !== mtime?.getTime(), "another row");
  await room.killAll(child);
  const { code } = await room.start([...words, ...command]).status;
  equal(code, 9, room.log);
  match(room.log, /out\.db has been written to since the checkpoint, and not at its end alone/);
  // And what to do.
  match(room.log, /or begin anew; with --ignore-file-change it is taken as it is/);
});

Deno.test("run: what others made is left as it is, and what the job has written elsewhere is refused by name", async () => {
  using room = new JobRoom();
  const [inbox, table, go] = ["inbox", "table", "go"].map((name) => `${room.path}/${name}`);
  Deno.writeTextFileSync(table!, "0123456789\n");
  const words = ["run", "--every", "1h", "-D", room.store];
  const job = 'until [ -e go ]; do sleep 0.05; done; exec 3<>"$2"; echo changed >&3; exec sleep 1d';
  const command = ["--", "sh", "-c", job, "sh", inbox!, table!];
  const first = room.start([...words, ...command]);
  await saved(room, 1);
  first.kill("SIGUSR1");
  await saved(room, 2);
  // Neither is open at the checkpoint; one is written by somebody else, and one by the job.
  Deno.writeTextFileSync(inbox!, "theirs");
  Deno.writeTextFileSync(go!, "");
  await waitUntil(() => room.hasSeen(table!), () => `the job to be seen:\n${room.log}`, 60_000);
  await room.killAll(first);
  equal((await room.start([...words, ...command]).status).code, 9, room.log);
  match(room.log, /table has been written to since the checkpoint, and not at its end alone/);
  equal(Deno.readTextFileSync(table!), "changed\n89\n");
  const second = room.start([...words, "--ignore-file-change", ...command]);
  await waitUntil(
    () => room.log.includes("taken up from"),
    () => `the job to go on:\n${room.log}`,
    60_000,
  );
  match(room.log, /inbox was not there at the checkpoint, [^:]*: it is left as it is/);
  equal(Deno.readTextFileSync(inbox!), "theirs");
  await room.killAll(second);
});

Deno.test("run: a job that has ended is not taken up, unless that is wanted; another one has no place", async () => {
  using room = new JobRoom();
  const status = async (...words: string[]): Promise<number> =>
    (await room.start(["run", "-D", room.store, ...words]).status).code;
  equal(await status("--", "sh", "-c", "echo once >> lines; exit 3"), 3, room.log);
  equal(await status("--", "sh", "-c", "echo once >> lines; exit 3"), 3);
  match(room.log, /has ended with status 3 at .*, and is not taken up/);
  equal(await status("--", "sh", "-c", "exit 4"), 8);
  match(room.log, /belongs to sh -c 'echo once >> lines; exit 3'/);
  equal(Deno.readTextFileSync(`${room.path}/lines`), "once\n");
  // Whoever fails to take it up again has it stay ended.
  const latest = `${room.store}/${Deno.readLinkSync(`${room.store}/latest`)}`;
  Deno.renameSync(`${latest}/pstree.img`, `${latest}/away`);
  equal(await status("--again", "--", "sh", "-c", "echo once >> lines; exit 3"), 7, room.log);
  Deno.renameSync(`${latest}/away`, `${latest}/pstree.img`);
  equal(await status("--", "sh", "-c", "echo once >> lines; exit 3"), 3);
  equal(await status("--again", "sh", "-c", "echo once >> lines; exit 3"), 3, room.log);
  equal(Deno.readTextFileSync(`${room.path}/lines`), "once\nonce\n");
  equal(await status("--", "/no/such/program"), 8);
  equal(
    (await room.start(["run", "-D", `${room.path}/other`, "--", "/no/program"]).status).code,
    2,
  );
});

Deno.test("run: two cannot have one store; a job whose id is taken goes on in a pid namespace, and is saved there", async () => {
  using room = new JobRoom();
  const out = `${room.path}/out`;
  const words = ["run", "-v", "--every", "1h", "-D", room.store, "--"];
  const waits = "exec >>out 2>/dev/null; echo 0; until [ -e go ]; do sleep 0.05; done; echo 1";
  const command = ["sh", "-c", waits];
  const first = room.start([...words, ...command]);
  const hasBegun = () => exists(out) && Deno.statSync(out).size > 0;
  await waitUntil(hasBegun, () => `the job to begin:\n${room.log}`, 60_000);
  equal((await room.start([...words, ...command]).status).code, 8);
  match(room.log, /somebody else saves to/);
  first.kill("SIGUSR1");
  await saved(room, 2);
  const pid = JSON.parse(Deno.readTextFileSync(`${room.store}/running.json`)).pid;
  // The command alone dies, and the job lives.
  first.kill("SIGKILL");
  await first.status;
  equal((await room.start([...words, ...command]).status).code, 9);
  match(room.log, /the job still runs, as process/);
  await room.killAll();
  await waitUntil(() => readProcess(pid) === null, "the id to be free", 60_000);
  const taker = await takePid(pid);
  const second = room.start([...words, ...command]);
  await waitUntil(
    () => room.log.includes(`as ${pid} in a pid namespace`),
    () => `the job to be taken up:\n${room.log}`,
    60_000,
  );
  second.kill("SIGTERM");
  equal((await second.status).code, 75, room.log);
  taker?.kill("SIGKILL");
  await taker?.status;
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await room.start([...words, ...command]).status).code, 0, room.log);
  equal(Deno.readTextFileSync(out), steps(2), room.log);
  deepEqual([...glob(room.store)].filter((name) => /^\d+$/.test(name)).sort(), ["2", "3"]);
});

Deno.test("run: what a job writes to its standard streams it writes once, into the streams of the new command", async () => {
  using room = new JobRoom();
  const words = "run --every 1h -D store -- sh -c";
  const job = "echo one; echo err >&2; until [ -e go ]; do sleep 0.05; done; echo two";
  const start = () => room.shell(`exec stasis ${words} '${job}' >>out 2>err`);
  const read = (name: string) => Deno.readTextFileSync(`${room.path}/${name}`);
  const first = start();
  const isThere = () => exists(`${room.path}/out`) && read("out") === "one\n";
  await waitUntil(isThere, () => `the job to begin:\n${read("err")}`, 60_000);
  // What it has written since is written again.
  await room.killAll(first);
  const second = start();
  await waitUntil(() => /cut back[^]*taken up/.test(read("err")), "the job to be taken up", 60_000);
  second.kill("SIGTERM");
  equal((await second.status).code, 75, read("err"));
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await start().status).code, 0, read("err"));
  equal(read("out"), "one\ntwo\n");
});

Deno.test("run: a job whose id is a thread's after a reboot is taken up", async () => {
  using room = new JobRoom();
  const out = `${room.path}/out`;
  const command = ["run", "--every", "1h", "-D", room.store, "--", "sh", "-c", LOGGING, "sh", out];
  const first = room.start(command);
  await waitUntil(() => room.hasSeen(out), () => `the job to be seen:\n${room.log}`, 60_000);
  await room.killAll(first);
  const running = `${room.store}/running.json`;
  const thread = Array.from(Deno.readDirSync("/proc/self/task"), ({ name }) => Number(name))
    .find((tid) => tid !== Deno.pid);
  const boot = crypto.randomUUID();
  Deno.writeTextFileSync(running, JSON.stringify({ pid: thread, startTime: "1", boot }));
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await room.start(command).status).code, 0, room.log);
  equal(Deno.readTextFileSync(out), "one\n", room.log);
});

Deno.test("run: a job that writes to a named pipe is saved, and writes to the stream of the new command", async () => {
  using room = new JobRoom();
  const words = "run --every 1h -D store -- sh -c";
  const job = "echo one; until [ -e go ]; do sleep 0.05; done; echo two";
  const fifo = `${room.path}/fifo`;
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  // In both directions: neither start waits for the other end then.
  using reader = await Deno.open(fifo, { read: true, write: true });
  const read = async () => {
    const bytes = new Uint8Array(4096);
    return new TextDecoder().decode(bytes.subarray(0, await reader.read(bytes) ?? 0));
  };
  const err = () => Deno.readTextFileSync(`${room.path}/err`);
  const start = () => room.shell(`exec stasis ${words} '${job}' >fifo 2>>err`);
  const first = start();
  // One that was not begun has nobody read for ever.
  const refused = first.status.then(() => err());
  equal(await Promise.race([read(), refused]), "one\n");
  first.kill("SIGTERM");
  equal((await first.status).code, 75, err());
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await start().status).code, 0, err());
  equal(await read(), "two\n");
});

Deno.test("run: a log that was deleted meanwhile is given anew, however large it is", async () => {
  using room = new JobRoom();
  const words = "run --every 1h -D store -- sh -c";
  const job = "yes | head -c 2000000; until [ -e go ]; do sleep 0.05; done; echo two";
  const read = (name: string) => Deno.readTextFileSync(`${room.path}/${name}`);
  const start = () => room.shell(`exec stasis ${words} '${job}' >>out 2>>err`);
  const first = start();
  const isWritten = () =>
    exists(`${room.path}/out`) && Deno.statSync(`${room.path}/out`).size === 2e6;
  await waitUntil(isWritten, () => `the log:\n${read("err")}`, 60_000);
  Deno.removeSync(`${room.path}/out`);
  first.kill("SIGTERM");
  equal((await first.status).code, 75, read("err"));
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await start().status).code, 0, read("err"));
  equal(read("out"), "two\n");
});

const LOGGING = 'exec >>"$1"; echo one; until [ -e go ]; do sleep 0.05; done';

Deno.test("run: a job that could not be saved before it began is begun anew, and its files with it", async (t) => {
  using room = new JobRoom();
  const out = `${room.path}/out`;
  Deno.writeTextFileSync(out, "before\n");
  await withSmallDisk(room.path, t, async (disk) => {
    const store = `${disk.path}/store`;
    const command = ["run", "--every", "1h", "-D", store, "--", "sh", "-c", LOGGING, "sh", out];
    disk.limit("size=64k");
    const first = room.start(command);
    const isSeen = () => room.hasSeen(out, store) && Deno.readTextFileSync(out).includes("one");
    await waitUntil(isSeen, () => `the job to be seen:\n${room.log}`, 60_000);
    await room.killAll(first);
    match(room.log, /not saved, and runs on/);
    Deno.writeTextFileSync(`${room.path}/go`, "");
    disk.limit("size=64m");
    equal((await room.start(command).status).code, 0, room.log);
    equal(Deno.readTextFileSync(out), "before\none\n", room.log);
  });
});

Deno.test("run: a hook that fails after each checkpoint has nothing forgotten, and a start that was killed blocks none", async () => {
  using room = new JobRoom();
  const out = `${room.path}/out`;
  const start = (...options: string[]) =>
    room.start(
      ["run", "--every", "1h", "-D", room.store, ...options, "--", "sh", "-c", LOGGING, "sh", out],
    );
  const started = start("--before", "touch begun; exec sleep 1d");
  await waitUntil(() => exists(`${room.path}/begun`), () => `a start:\n${room.log}`, 60_000);
  started.kill("SIGKILL");
  await started.status;
  const { pid } = JSON.parse(Deno.readTextFileSync(`${room.store}/running.json`));
  equal(readProcess(pid)?.state, "T", "the job waits to begin");
  const first = start("--after", "exit 3", "--keep", "1");
  await waitUntil(() => room.hasSeen(out), () => `the job to be seen:\n${room.log}`, 60_000);
  await room.killAll(first);
  match(room.log, /saved as checkpoint 1 nevertheless/);
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await start().status).code, 0, room.log);
  equal(Deno.readTextFileSync(out), "one\n", room.log);
});

Deno.test("run: a save inside of a pid namespace is cancelled there, for nsenter hands no signal on", async () => {
  const child = new Deno.Command("nsenter", {
    args: ["--target", String(Deno.pid), "--pid", "--", "cat"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("x"));
  // It is there as soon as it answers.
  const reader = child.stdout.getReader();
  await reader.read();
  cancelInside(child.pid);
  // Nobody has its output any more.
  equal((await reader.read()).done, true);
  const { success } = await child.status;
  equal(success, false);
  await writer.abort().catch(() => {});
});

/** The events that a command with `--json` has told. */
function told(room: JobRoom): { readonly event: string; readonly checkpoint?: number }[] {
  return room.log.split("\n").filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line)
  );
}

Deno.test("watch: a thread is refused, and its process named", async () => {
  using room = new JobRoom();
  const thread = Array.from(Deno.readDirSync("/proc/self/task"), ({ name }) => Number(name))
    .find((tid) => tid !== Deno.pid);
  equal((await room.start(["watch", String(thread), "-D", room.store]).status).code, 4, room.log);
  match(
    room.log,
    new RegExp(`: ${thread} is a thread of process ${Deno.pid}\n.*watch ${Deno.pid}`),
  );
  deepEqual([...glob(room.store)], []);
});

Deno.test("watch: saves a tree that runs, whatever the disk does, until that ends; restore takes the latest", async (t) => {
  using room = new JobRoom();
  await using subject = await startSleeper("");
  await withSmallDisk(room.path, t, async (disk) => {
    const store = `${disk.path}/store`;
    const watch = () =>
      room.start(["watch", String(subject.pid), "--json", "--every", "1h", "-D", store]);
    const until = (event: string, count: number) =>
      waitUntil(
        () => told(room).filter((one) => one.event === event).length === count,
        () => `${event}:\n${room.log}`,
        60_000,
      );
    disk.limit("size=64k");
    const first = watch();
    await until("not-saved", 1);
    disk.limit("size=64m");
    first.kill("SIGUSR1");
    await until("saved", 1);
    first.kill("SIGTERM");
    equal((await first.status).code, 75, room.log);
    const second = watch();
    await until("saved", 3);
    Deno.kill(subject.pid, "SIGKILL");
    equal((await second.status).code, 0, room.log);
    equal(told(room).at(-1)?.event, "ended");
    await subject.waitGone();
    equal((await room.start(["restore", store, "--detach"]).status).code, 0, room.log);
    await becomesSleep(subject.pid);
  });
});
