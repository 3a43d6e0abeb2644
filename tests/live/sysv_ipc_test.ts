import { deepEqual, equal, match } from "@std/assert";
import { fileURLToPath } from "node:url";
import { definePlugin } from "../../core/plugin.ts";
import { readQueues, readSegments, readSemaphores } from "../../core/linux/procfs/mod.ts";
import { semaphoreValues, semaphoreWaiters } from "../../core/linux/sysv_ipc.ts";
import { checkpoint, DEFAULT_PLUGINS, restore, type StasisEvent } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { skip } from "../harness/skip.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf } from "./round_trip.ts";

/** The objects of the subject by the names of its facts, and the options of ipcrm(1) for them. */
const OBJECTS = { shm: "-m", detached: "-m", sem: "-s", msg: "-q" } as const;
type Name = keyof typeof OBJECTS;
const NAMES = Object.keys(OBJECTS) as Name[];

/** The subject, whose objects go with it however the test ends. */
async function start(): Promise<Subject> {
  const subject = await Subject.start("sysv_ipc");
  const { facts } = subject;
  const dispose = subject[Symbol.asyncDispose].bind(subject);
  subject[Symbol.asyncDispose] = async () => {
    await dispose();
    remove(facts);
  };
  return subject;
}

function remove(facts: ReadonlyMap<string, string>, names: readonly Name[] = NAMES): void {
  for (const name of names) {
    const id = facts.get(name);
    if (id !== undefined && isThere(name, Number(id))) {
      new Deno.Command("ipcrm", { args: [OBJECTS[name], id] }).outputSync();
    }
  }
}

function isThere(name: Name, id: number): boolean {
  const all = name === "sem" ? readSemaphores() : name === "msg" ? readQueues() : readSegments();
  return all.some((object) => object.id === id);
}

/** Somebody outside of the tree who uses an object. */
async function stranger(
  kind: "shm" | "detached" | "sem" | "hold" | "wait" | "msg" | "put",
  id: string,
  semaphore = "4",
): Promise<Subject> {
  const source = fileURLToPath(new URL("./programs/sysv_user.c", import.meta.url));
  const user = await Subject.run(await buildProgram(source), { args: [kind, id, semaphore] });
  await user.waitReady();
  return user;
}

/** Somebody outside of the tree who adds 1 to the fifth of these semaphores and ends. */
async function useOnce(id: string): Promise<void> {
  await using user = await stranger("sem", id);
  await user.expectPass();
}

/** A test on the subject. */
function test(
  name: string,
  body: (subject: Subject, images: ImageHome) => Promise<void>,
): void {
  Deno.test(`sysv_ipc: ${name}`, async (t) => {
    using images = new ImageHome();
    await using subject = await start();
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    await body(subject, images);
  });
}

/** An object that this process makes and that stands for another program's, removed when disposed of. */
class OthersObject implements Disposable {
  readonly id: string;
  readonly #kind: "S" | "Q";

  constructor(kind: "S" | "Q", ...size: string[]) {
    this.#kind = kind;
    const made = new Deno.Command("ipcmk", { args: [`-${kind}`, ...size] }).outputSync();
    this.id = /\d+$/.exec(new TextDecoder().decode(made.stdout).trim())?.[0] as string;
  }

  [Symbol.dispose](): void {
    new Deno.Command("ipcrm", { args: [`-${this.#kind.toLowerCase()}`, this.id] }).outputSync();
  }
}

Deno.test("sysv_ipc: it is what it was after a restore", (t) => bringsBack(t, "sysv_ipc"));

Deno.test("sysv_ipc: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "sysv_ipc"));

test("what was removed meanwhile is made anew, under its ids", async (subject, images) => {
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  remove(subject.facts);
  deepEqual(NAMES.filter((name) => isThere(name, Number(subject.fact(name)))), []);
  const tree = await restore(images.directory);
  // A second checkpoint finds everything again.
  using again = new ImageHome();
  await checkpoint(subject.pid, again);
  await tree.wait();
  remove(subject.facts);
  const second = await restore(again.directory);
  await subject.expectPass();
  await second.wait();
});

test("what has been used meanwhile is as it was at the checkpoint", async (subject, images) => {
  await checkpoint(subject.pid, { ...images, directory: images.directory, leaveRunning: true });
  await subject.kill();
  await subject.waitGone();
  for (const kind of ["sem", "msg"] as const) {
    await using user = await stranger(kind, subject.fact(kind));
    await user.expectPass();
  }
  const notes: string[] = [];
  const onEvent = (event: StasisEvent) => void (event.kind === "note" && notes.push(event.text));
  const tree = await restore(images.directory, { onEvent });
  match(
    notes.join("; "),
    new RegExp(`System V message queue ${subject.fact("msg")} .* has been used since`),
  );
  await subject.expectPass();
  await tree.wait();
});

for (const kind of ["shm", "detached", "sem", "msg"] as const) {
  test(`${kind} that somebody outside uses, too, is refused by name`, async (subject) => {
    const id = subject.fact(kind);
    {
      await using user = await stranger(kind, id);
      const [problem, ...more] = await problemsOf(subject.pid);
      deepEqual(more, []);
      match(problem?.what ?? "", new RegExp(`process ${user.pid} .*outside .*System V .* ${id} `));
      const external = kind === "detached" ? "shm" : kind;
      match(problem?.hint ?? "", new RegExp(`--external ${external}\\[${id}\\]`));
      await user.expectPass();
    }
  });
}

test(
  "shared memory that nobody has attached stays the tree's after a checkpoint",
  async (subject, images) => {
    const id = Number(subject.fact("detached"));
    const last = () => readSegments().find((segment) => segment.id === id)?.last;
    const before = last();
    await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
    equal(last(), before);
    await subject.expectPass();
  },
);

test("semaphores that somebody outside waits for are refused", async (subject, images) => {
  const id = subject.fact("sem");
  {
    await using _ = await stranger("wait", id);
    while (semaphoreWaiters(Number(id), 5) === 0) await new Promise((done) => setTimeout(done, 1));
    const { problems: [problem, ...more] } = await failureOf(checkpoint(subject.pid, images));
    deepEqual(more, []);
    match(problem?.what ?? "", new RegExp(`1 thread outside .* waits for .* semaphores ${id} `));
  }
  await subject.expectPass();
});

Deno.test("sysv_ipc: a program that holds semaphores of others with SEM_UNDO is refused", async () => {
  using images = new ImageHome();
  using others = new OthersObject("S", "5");
  const { id } = others;
  await using holder = await stranger("hold", id);
  await useOnce(id);
  const error = await failureOf(checkpoint(holder.pid, images));
  match(error.message, new RegExp(`task ${holder.pid} holds the System V semaphores ${id} of`));
  await holder.expectPass();
  // What it holds is given back when it ends, which is a moment after it has said its verdict.
  await waitUntil(() => !holder.alive, "it to end");
  deepEqual(semaphoreValues(Number(id), 5), [0, 0, 0, 0, 1]);
});

/** Whether semaphores are used when a program that was checkpointed meanwhile ends; null where it cannot be tried. */
async function areUsedAfterCheckpoint(): Promise<boolean | null> {
  using images = new ImageHome();
  await using subject = await start();
  if (subject.unsupported !== null) return null;
  using others = new OthersObject("S", "1");
  const { id } = others;
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  await subject.expectPass();
  await waitUntil(() => !subject.alive, "it to end");
  return readSemaphores().find((set) => set.id === Number(id))?.used !== 0;
}

Deno.test("sysv_ipc: semaphores of others that nobody has used stay unused when the tree ends", async (t) => {
  // Any other program of this machine may use them in the middle of it, but does not do so each time.
  for (let round = 0; round < 5; round++) {
    const areUsed = await areUsedAfterCheckpoint();
    if (areUsed === null) return skip(t, "no System V IPC");
    if (!areUsed) return;
  }
  throw new Error("they are used each time");
});

test("shared memory of others is left to them where the user says so", async (subject, images) => {
  const id = subject.fact("shm");
  await using user = await stranger("shm", id);
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: { external: [`shm[${id}]`] },
  });
  await subject.waitGone();
  const tree = await restore(images.directory);
  await user.expectPass();
  // The memory is attached to it until it has ended, and the subject counts.
  await waitUntil(() => !user.alive, "it to end");
  await subject.expectPass();
  await tree.wait();
});

for (const kind of ["sem", "msg"] as const) {
  Deno.test(`sysv_ipc: ${kind} of others are left to them where the user says so`, async () => {
    using images = new ImageHome();
    using object = kind === "sem" ? new OthersObject("S", "5") : new OthersObject("Q");
    const { id } = object;
    /** Has somebody add 1 to the last semaphore, or put a message into the queue. */
    const use = () => stranger(kind === "sem" ? "sem" : "put", id);
    const contents = () =>
      kind === "sem"
        ? semaphoreValues(Number(id), 5).at(-1)
        : readQueues().find((queue) => queue.id === Number(id))?.messages;
    await using subject = await use();
    // Of another semaphore, or by receiving that message.
    await using _other = await stranger(kind, id, "3");
    const [problem] = await problemsOf(subject.pid);
    match(problem?.hint ?? "", new RegExp(`--external ${kind}\\[${id}\\]`));
    const options = { external: [`${kind}[${id}]`] };
    await checkpoint(subject.pid, { directory: images.directory, options });
    await subject.waitGone();
    await using _third = await use();
    const theirs = contents();
    equal(theirs, kind === "sem" ? 2 : 1);
    const tree = await restore(images.directory);
    equal(contents(), theirs);
    await subject.expectPass();
    await tree.wait();
  });
}

test(
  "what another program of the same user has made and left behind is not touched",
  async (subject, images) => {
    using others = new OthersObject("S", "5");
    const { id } = others;
    await useOnce(id);
    const notes: string[] = [];
    await checkpoint(subject.pid, {
      directory: images.directory,
      onEvent: (event) => void (event.kind === "note" && notes.push(event.text)),
    });
    await subject.waitGone();
    equal(notes.filter((text) => text.includes(`semaphores ${id} (`)).length, 1);
    await useOnce(id);
    const tree = await restore(images.directory);
    deepEqual(semaphoreValues(Number(id), 5), [0, 0, 0, 0, 2]);
    await subject.expectPass();
    await tree.wait();
  },
);

test("a restore is refused where others use or have its objects", async (subject, images) => {
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const ids = { shm: subject.fact("shm"), sem: subject.fact("sem"), msg: subject.fact("msg") };
  {
    await using one = await stranger("shm", ids.shm);
    await using two = await stranger("sem", ids.sem);
    await using three = await stranger("msg", ids.msg);
    const { problems } = await failureOf(restore(images.directory));
    deepEqual(
      problems.map(({ what }) => /process (\d+)/.exec(what)?.[1]).sort(),
      [one, two, three].map(({ pid }) => String(pid)).sort(),
    );
    for (const user of [one, two, three]) await user.expectPass();
  }
  remove(subject.facts, ["msg"]);
  {
    using others = new OthersObject("Q");
    if (Number(others.id) % 32768 === Number(ids.msg) % 32768) {
      const { problems } = await failureOf(restore(images.directory));
      match(problems[0]?.what ?? "", /the place of the System V message queue \d+ is taken/);
    }
  }
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
});

test("a restore that fails takes away what it has made", async (subject, images) => {
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  remove(subject.facts);
  const failing = definePlugin({
    name: "failing",
    description: "fails when all else is done",
    restore: () => ({
      armThread() {
        throw new Error("it fails");
      },
    }),
  });
  await failureOf(restore(images.directory, { plugins: [...DEFAULT_PLUGINS, failing] }));
  deepEqual(NAMES.filter((name) => isThere(name, Number(subject.fact(name)))), []);
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
  equal(isThere("sem", Number(subject.fact("sem"))), false);
});
