/**
 * What stands against a restore: damaged or foreign images, pids that are taken, files that have changed. Each
 * is told clearly, with its code, before or without leaving anything behind; and where it goes away, the
 * restore works.
 */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { EXIT_STATUS } from "../../base/errors.ts";
import { idsTaken } from "../../core/restore/taken_ids.ts";
import { VMA_AREA_VVAR } from "../../images/flags.ts";
import { core_entry_march } from "../../images/gen/thread_pb.ts";
import { encodeEntry, encodeHead, encodeMessage } from "../../images/codec.ts";
import { CORE, INVENTORY } from "../../images/kinds/core.ts";
import { MM } from "../../images/kinds/memory.ts";
import {
  checkpoint,
  definePlugin,
  type ErrorCode,
  openImages,
  planRestore,
  type Plugin,
  restore,
  type StasisError,
} from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import {
  assertNothingHeld,
  failureOf,
  ImageRoom,
  isTaken,
  toolState,
} from "../harness/unharmed.ts";

/** A restore fails, says so, and leaves nothing. */
async function fails(
  directory: string,
  code: ErrorCode,
  says: RegExp,
  pid?: number,
): Promise<StasisError> {
  const before = toolState();
  const error = await failureOf(restore(directory));
  assertNothingHeld(before);
  assert.equal(error.code, code, error.message);
  assert.match([error.message, ...error.problems.map(({ what }) => what)].join("\n"), says);
  if (pid !== undefined) assert.equal(isTaken(pid), false, "it is there");
  return error;
}

/** The command line says the same. */
async function commandFails(directory: string, code: ErrorCode, says: RegExp): Promise<void> {
  const outcome = await stasis(["restore", directory]);
  assert.equal(outcome.status, EXIT_STATUS[code], outcome.stderr);
  assert.match(outcome.stderr, says);
  assert.doesNotMatch(outcome.stderr, /^ +at /m, "a stack trace is nothing for users");
}

/** Takes a subject away: its images are in the directory then, and its pid is free. */
async function takeAway(subject: Subject, directory: string): Promise<void> {
  await checkpoint(subject.pid, { directory });
  await subject.waitGone();
}

async function copyOf(directory: string, to: string): Promise<string> {
  const { success } = await new Deno.Command("cp", { args: ["-r", directory, to] }).output();
  assert.ok(success);
  return to;
}

/** Scripts of a shell that leave a sleeper behind; they print its pid and the id that it holds. */
const HOLDERS = {
  session: "set -m; sleep 1000 >&- 2>&- & echo $! $$",
  "process group": "set -m; (sleep 1000 >&- 2>&- & echo $! $BASHPID) & wait",
};

for (const [what, script] of Object.entries(HOLDERS)) {
  Deno.test(`idsTaken() says which ${what} holds an id that no task has`, async () => {
    const { stdout } = await new Deno.Command("setsid", { args: ["bash", "-c", script] }).output();
    const [, holder, id] = /^(\d+) (\d+)\n$/.exec(new TextDecoder().decode(stdout)) ?? [];
    assert.ok(holder !== undefined && id !== undefined);
    try {
      await waitUntil(() => readProcess(Number(holder))?.comm === "sleep", "it to sleep");
      assert.match(
        idsTaken([Number(id)]).message,
        new RegExp(`^pid ${id} is taken by the ${what} of task ${holder} \\(sleep\\)$`),
      );
    } finally {
      Deno.kill(Number(holder), "SIGKILL");
    }
  });
}

Deno.test("restore refuses what is no image directory", async () => {
  using room = new ImageRoom();
  await commandFails(room.fresh(), "bad-image", /there is no image directory/);
  await fails(room.path, "bad-image", /has no inventory\.img/);
  Deno.writeTextFileSync(`${room.path}/file`, "");
  await fails(`${room.path}/file`, "bad-image", /is not a directory/);
});

/**
 * Deno ends what it does for a listener to a signal at some later turn of its loop, and each restore has had three: what
 * goes on still is not looked for, and is given some turns.
 */
const sanitizeOps = false;

async function takeTurns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test({
  name: "restore refuses every image that is cut short, or another's",
  sanitizeOps,
  fn: refusesDamaged,
});

async function refusesDamaged(): Promise<void> {
  using room = new ImageRoom();
  const whole = room.fresh();
  await using subject = await Subject.start("sud_threads", { args: ["2"] });
  await takeAway(subject, whole);
  const damaged = await copyOf(whole, room.fresh());
  const names = openImages(whole).fileNames;
  assert.ok(names.length > 10, `only ${names}`);
  for (const name of names) {
    const path = `${damaged}/${name}`;
    const bytes = Deno.readFileSync(`${whole}/${name}`);
    const damages: [what: string, bytes: Uint8Array][] = [
      ["cut by a byte", bytes.slice(0, -1)],
      ["cut in the middle", bytes.slice(0, bytes.length >> 1)],
      ["cut behind the magic", bytes.slice(0, 8)],
      ["empty", new Uint8Array()],
    ];
    // What is in them nobody reads who restores, and only that they are whole is looked at.
    if (!name.startsWith("pages-") && name !== "phases.img") {
      const magic = bytes.slice();
      magic[4]! ^= 0xff;
      const huge = bytes.slice();
      // The size of the first entry stands behind the two magics; the inventory has one magic only.
      huge.fill(0xff, name === "inventory.img" ? 4 : 8, name === "inventory.img" ? 8 : 12);
      damages.push(["with a wrong magic", magic], ["with a hostile size", huge]);
    }
    for (const [what, content] of damages) {
      Deno.writeFileSync(path, content);
      const before = toolState();
      const error = await failureOf(restore(damaged)).catch((cause) => {
        throw new Error(`${name} ${what}`, { cause });
      });
      assert.equal(error.code, "bad-image", `${name} ${what}: ${error.message}`);
      assert.ok(error.message.includes(name), `${what}: ${error.message} does not name ${name}`);
      assertNothingHeld(before);
      assert.equal(isTaken(subject.pid), false, `${name} ${what}`);
    }
    Deno.writeFileSync(path, bytes);
  }
  const tree = await restore(damaged);
  await subject.expectPass();
  await tree.wait();
  await takeTurns();
}

Deno.test({
  name: "restore refuses images of which one is missing, and names it",
  sanitizeOps,
  fn: refusesIncomplete,
});

async function refusesIncomplete(t: Deno.TestContext): Promise<void> {
  using room = new ImageRoom();
  const whole = room.fresh();
  await using subject = await Subject.start("sud_threads", { args: ["2"] });
  await takeAway(subject, whole);
  for (const name of openImages(whole).fileNames) {
    // Without a manifest the directory is as CRIU's are; who deletes it wants that.
    if (name === "manifest.img") continue;
    await t.step(name, async () => {
      const damaged = await copyOf(whole, room.fresh());
      Deno.removeSync(`${damaged}/${name}`);
      await fails(damaged, "bad-image", new RegExp(name.replace(".", "\\.")), subject.pid);
    });
  }
  await takeTurns();
}

Deno.test("restore refuses images of another architecture, and ones that need a plugin", async () => {
  using room = new ImageRoom();
  const whole = room.fresh();
  await using subject = await Subject.start("sud_block");
  await takeAway(subject, whole);
  const images = openImages(whole);

  const foreign = await copyOf(whole, room.fresh());
  Deno.removeSync(`${foreign}/manifest.img`); // it would tell of every change
  const core = { ...images.read(CORE, subject.pid), mtype: core_entry_march.AARCH64 };
  Deno.writeFileSync(
    `${foreign}/core-${subject.pid}.img`,
    Uint8Array.from([...encodeHead(CORE), ...encodeEntry(CORE, core)]),
  );
  const other = await fails(foreign, "bad-image", /another architecture \(AARCH64\)/, subject.pid);
  assert.match(other.hint ?? "", /machine of that architecture/);

  const needy = await copyOf(whole, room.fresh());
  Deno.removeSync(`${needy}/manifest.img`);
  const inventory = images.read(INVENTORY, null);
  inventory.pluginsEntry?.plugins.push("nobody-has-it");
  Deno.writeFileSync(
    `${needy}/inventory.img`,
    Uint8Array.from([
      ...encodeHead(INVENTORY),
      ...encodeMessage(INVENTORY.name, INVENTORY.schema, inventory),
    ]),
  );
  const says = /need a plugin that is not here: nobody-has-it/;
  const missing = await fails(needy, "unsupported", says, subject.pid);
  assert.match(missing.hint ?? "", /--plugin/);
  await commandFails(needy, "unsupported", says);
});

Deno.test("restore refuses images with the vDSO of another kernel", async () => {
  using room = new ImageRoom();
  const whole = room.fresh();
  await using subject = await Subject.start("sud_block");
  await takeAway(subject, whole);
  const mm = openImages(whole).read(MM, subject.pid);
  Deno.removeSync(`${whole}/manifest.img`);
  // The data of the vDSO, of which no pages are saved, are said to be one page shorter here.
  const vvar = mm.vmas.find(({ status }) => (status & VMA_AREA_VVAR) !== 0);
  if (vvar === undefined) throw new Error("the images have no vDSO");
  assert.ok(vvar.end - vvar.start > 4096n);
  vvar.start += 4096n;
  Deno.writeFileSync(
    `${whole}/mm-${subject.pid}.img`,
    Uint8Array.from([...encodeHead(MM), ...encodeEntry(MM, mm)]),
  );
  const error = await failureOf(restore(whole));
  assert.ok(["conflict", "unsupported"].includes(error.code), `${error.code}: ${error.message}`);
  const text = [error.message, ...error.problems.map(({ what }) => what)].join("\n");
  assert.match(text, /vDSO/);
  assert.equal(isTaken(subject.pid), false);
});

for (const kind of ["process", "thread", "zombie"] as const) {
  Deno.test(`restore refuses a pid that a ${kind} has, names it, and works when it is free`, async () => {
    using room = new ImageRoom();
    const directory = room.fresh();
    await using subject = await Subject.start("sud_threads", { args: ["3"] });
    const tids = [...Deno.readDirSync(`/proc/${subject.pid}/task`)].map(({ name }) => +name);
    await takeAway(subject, directory);
    // A thread's id of the tree: what is found late, when its process has been built.
    const wanted = kind === "process" ? subject.pid : Math.max(...tids);
    const source = fileURLToPath(new URL("programs/take_pid.c", import.meta.url));
    {
      await using taker = await Subject.run(await buildProgram(source), {
        args: [String(wanted), kind],
      });
      await waitUntil(() => isTaken(wanted), "the pid to be taken");
      const error = await fails(directory, "conflict", new RegExp(`pid ${wanted} is taken by`));
      assert.equal(error.pid, wanted);
      assert.match(error.hint ?? "", /end it/);
      assert.match(error.message, kind === "zombie" ? /a zombie \(take_pid/ : /task .*\(take_pid/);
      await commandFails(directory, "conflict", new RegExp(`pid ${wanted} is taken by`));
      await taker.expectPass();
    }
    const tree = await restore(directory);
    await subject.expectPass();
    await tree.wait();
  });
}

/** Takes an id at the beginning of a restore that finds it free, as long as that lasts; only once. */
function takesMeanwhile(id: number): { plugin: Plugin; takers: Deno.ChildProcess[] } {
  const takers: Deno.ChildProcess[] = [];
  const plugin = definePlugin({
    name: "taker",
    description: "takes an id",
    restore: () => ({
      begin() {
        while (takers.at(-1)?.pid !== id && takers.length < 50) {
          Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", String(id - 1));
          const silent = { stdin: "null", stdout: "null", stderr: "null" } as const;
          takers.push(new Deno.Command("sleep", { args: ["1000"], ...silent }).spawn());
        }
      },
      abandon: () => takers.forEach((taker) => taker.kill("SIGKILL")),
    }),
  });
  return { plugin, takers };
}

Deno.test("restore takes an id that somebody has for a moment while the tree is built", async () => {
  using room = new ImageRoom();
  const directory = room.fresh();
  await using subject = await Subject.start("sud_threads", { args: ["3"] });
  const tids = [...Deno.readDirSync(`/proc/${subject.pid}/task`)].map(({ name }) => +name);
  await takeAway(subject, directory);
  const wanted = Math.max(...tids);
  const { plugin, takers } = takesMeanwhile(wanted);
  const phases: string[] = [];
  const tree = await restore(directory, {
    plugins: [plugin],
    onEvent: (event) => event.kind === "phase" && phases.push(event.phase),
  });
  assert.equal(takers.at(-1)?.pid, wanted, "the id was somebody else's");
  assert.deepEqual(phases.filter((phase) => phase === "build").length, 2);
  for (const taker of takers) await taker.status;
  await subject.expectPass();
  await tree.wait();
});

Deno.test("restore refuses files that have changed or vanished, and takes a remapped directory", async () => {
  using room = new ImageRoom();
  const directory = room.fresh();
  const [old, moved] = [`${room.path}/old`, `${room.path}/moved`];
  const file = `${old}/data`;
  Deno.mkdirSync(old);
  Deno.writeTextFileSync(file, "0123456789");
  await using subject = await Subject.spawn("/bin/bash", {
    args: ["-c", `exec 7<${file}; exec sleep 1000`],
  });
  await waitUntil(
    () => Deno.readTextFileSync(`/proc/${subject.pid}/comm`) === "sleep\n",
    "the shell to become sleep",
  );
  await takeAway(subject, directory);

  Deno.writeTextFileSync(file, "0123456789 and more");
  await fails(directory, "conflict", new RegExp(`${file}.*(10|19)`), subject.pid);
  await commandFails(directory, "conflict", new RegExp(file));
  Deno.writeTextFileSync(file, "0123456789");
  Deno.renameSync(old, moved);
  await fails(directory, "conflict", new RegExp(file), subject.pid);
  await commandFails(directory, "conflict", new RegExp(file));

  // A slip: the old names would be used.
  const slip = { remap: { [old]: moved, [`${old}x`]: moved } };
  const { problems } = await failureOf(restore(directory, { options: slip }));
  assert.equal(problems[0]?.what.startsWith(`--remap names ${old}x, `), true);

  const tree = await restore(directory, { options: { remap: { [old]: moved } } });
  assert.equal(Deno.readLinkSync(`/proc/${subject.pid}/fd/7`), `${moved}/data`);
  tree.kill(9);
  assert.deepEqual(await tree.wait(), { signal: 9 });
});

Deno.test("restore and a dry run say of a taken pid and a changed file alike", async () => {
  using room = new ImageRoom();
  const directory = room.fresh();
  const file = `${room.path}/data`;
  Deno.writeTextFileSync(file, "0123456789");
  await using subject = await Subject.spawn("/usr/bin/perl", {
    args: ["-e", `open my $f, "<", "${file}"; $| = 1; print "ready\\n"; sleep 1000`],
  });
  await subject.waitReady();
  await checkpoint(subject.pid, {
    directory,
    leaveRunning: true,
    options: { fileValidation: "mtime" },
  });
  Deno.writeTextFileSync(file, "another");

  const both = new RegExp(`${file} has 7 bytes[^]*pid ${subject.pid} is taken by another task`);
  for (const run of [restore, planRestore]) {
    const { code, problems } = await failureOf(run(directory));
    assert.equal(code, "conflict");
    assert.match(problems.map(({ what }) => what).join("\n"), both);
  }
  Deno.writeTextFileSync(file, "0123456789");
  const { problems } = await failureOf(
    planRestore(directory, { options: { fileValidation: "mtime" } }),
  );
  assert.match(problems[0]?.what ?? "", new RegExp(`^the file ${file} was last modified at `));
  assert.equal(problems.length, 2, "and the pid is taken");
  const { status, stdout, stderr } = await stasis([
    ...["restore", directory, "--dry-run", "--file-validation", "size"],
  ]);
  assert.equal(status, EXIT_STATUS.conflict, stderr);
  assert.match(stdout, /^\[\d+\] openat/m);
  assert.match(stderr, new RegExp(`pid ${subject.pid} is taken by .*: as long as that is so`));
  assert.ok(subject.alive);
});

Deno.test("restore refuses a program of the same size that is another one, unless it may be", async (t) => {
  const bytes = Deno.readFileSync("/bin/sleep");
  // The head of the note with the build id, of 20 bytes: its name is GNU, and its type 3.
  const head = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 0x47, 0x4e, 0x55, 0];
  const note = bytes.findIndex((_, at) => head.every((byte, index) => bytes[at + index] === byte));
  assert.ok(note > 0, "/bin/sleep has a build id");
  const changes = {
    "its build id tells": { before: [], after: [note + 20], says: /is another build/ },
    "the time of its last change, where it has none": {
      before: [note + 8],
      after: [],
      says: /was last modified at .* and at .* by the time of the checkpoint/,
    },
  };
  for (const [what, { before, after, says }] of Object.entries(changes)) {
    await t.step(what, async () => {
      using room = new ImageRoom();
      const directory = room.fresh();
      const program = `${room.path}/sleeper`;
      const write = (changed: readonly number[], time: number) => {
        const copy = bytes.slice();
        for (const at of changed) copy[at]! ^= 0x55;
        Deno.writeFileSync(program, copy, { mode: 0o755 });
        Deno.utimeSync(program, time, time);
      };
      write(before, 1_000_000);
      await using subject = await Subject.spawn(program, { args: ["1000"] });
      await waitUntil(() => readProcess(subject.pid)?.comm === "sleeper", "it to run");
      await takeAway(subject, directory);
      write([...before, ...after], 2_000_000);
      await fails(directory, "conflict", says, subject.pid);
      await planRestore(directory, { options: { fileValidation: "size" } });
      write(before, 1_000_000);
      const tree = await restore(directory);
      tree.kill(9);
      await tree.wait();
    });
  }
});
