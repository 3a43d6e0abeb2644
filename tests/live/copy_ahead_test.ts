/**
 * Memory that is copied before the freeze, while the tree runs: what the images have is that of the freeze all the same,
 * whatever becomes of it meanwhile, and nothing of it stays in the tree.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "@std/assert";
import { Cancellation } from "../../core/cancellation.ts";
import { AheadOfFreeze } from "../../core/checkpoint/copy_ahead.ts";
import { QuickMappings } from "../../core/checkpoint/quick_mappings.ts";
import { Task } from "../../core/checkpoint/task.ts";
import { Guardian } from "../../core/guardian/guardian.ts";
import { pause } from "../../core/linux/pause.ts";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { readFds, readSmaps, readStatus } from "../../core/linux/procfs/mod.ts";
import { ImageDirectory } from "../../images/mod.ts";
import { checkpoint, mergeParents, type OperationOptions, restore } from "../../mod.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf, ImageRoom } from "../harness/unharmed.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { killsFrom } from "./kills_from.ts";
import { ImageHome } from "./round_trip.ts";

const ignore = !hasWriteTracking();

/** All memory is copied ahead, however little it is. */
const AHEAD: OperationOptions = { ...UNHURRIED, snapshot: true, copyAheadFrom: 0n };
/** What is written to meanwhile is a shadow's. */
const WITH_SHADOW: OperationOptions = { ...AHEAD, copyLimit: 0n };

/** How many snapshots are taken of one subject. */
const TIMES = 3;

/** More memory than the command copies at the freeze, and as much as it copies ahead, in MiB. */
const MUCH = "160";

for (
  const { name, args } of [
    // Most of it stays as it is; of what does not, all is written to all the time.
    { name: "agreed", args: ["8", "4", "40"] },
    { name: "remade", args: [] },
    { name: "remade", args: ["1", "12", "3"] },
  ]
) {
  for (const options of [AHEAD, WITH_SHADOW]) {
    Deno.test({
      name: `${[name, ...args].join(" ")}: what is copied ahead is of one moment${
        options === WITH_SHADOW ? ", and what a shadow has is of the same" : ""
      }`,
      ignore,
      fn: () => isOfOneMoment(name, args, options),
    });
  }
}

async function isOfOneMoment(
  name: string,
  args: readonly string[],
  options: OperationOptions,
): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, { args });
  const at = (number: number) => `${images.directory}-${number}`;
  for (let number = 0; number < TIMES; number++) {
    await checkpoint(subject.pid, { directory: at(number), leaveRunning: true, options });
    deepEqual(watchedOf(subject), []);
    await ImageDirectory.open(at(number)).verifyContents();
  }
  await bringsBack(subject, at(TIMES - 1));
}

Deno.test({
  name: "most of what stays as it is lies in the copy, and the images need no other",
  ignore,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.start("remade", { args: ["24", "2"] });
    const result = await checkpoint(subject.pid, {
      directory: images.directory,
      leaveRunning: true,
      options: AHEAD,
    });
    equal(result.parent, undefined);
    const copied = allocated(`${images.directory}/parent/pages-1.img`);
    const written = allocated(`${images.directory}/pages-1.img`);
    ok(copied >= 22 << 20 && copied < 27 << 20, `${copied} bytes are copied`);
    ok(written < 6 << 20, `${written} bytes are written besides`);
    // It may be moved, and copied without its links.
    const moved = `${images.directory}-moved`;
    Deno.renameSync(images.directory, moved);
    await bringsBack(subject, moved);
  },
});

Deno.test({
  name:
    "checkpoints leave what has not changed to one that was copied ahead, and are merged with it",
  ignore,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.start("remade", { args: ["24", "2"] });
    const at = (number: number) => `${images.directory}-${number}`;
    for (let number = 0; number < TIMES; number++) {
      const { parent, bytes } = await checkpoint(subject.pid, {
        directory: at(number),
        parent: number === 0 ? undefined : at(number - 1),
        leaveRunning: true,
        options: AHEAD,
      });
      equal(parent, number === 0 ? undefined : at(number - 1));
      equal(bytes >= 24n << 20n, number === 0, `${bytes} bytes`);
      deepEqual(watchedOf(subject), []);
    }
    const last = at(TIMES - 1);
    // All of them, and then the last one alone.
    const tree = await restored(subject, last);
    Deno.kill(-subject.pid, "SIGKILL");
    await tree.wait();
    equal(await mergeParents(last), true);
    for (let number = 0; number < TIMES - 1; number++) {
      Deno.removeSync(at(number), { recursive: true });
    }
    await ImageDirectory.open(last).verifyContents();
    const again = await restore(last);
    await subject.expectPass();
    await again.wait();
  },
});

Deno.test({
  name: "a tree that forks while it is copied is saved, and what they have in common once",
  ignore,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.start("comings");
    const at = (number: number) => `${images.directory}-${number}`;
    for (let number = 0; number < TIMES; number++) {
      const directory = at(number);
      await checkpoint(subject.pid, { directory, leaveRunning: true, options: AHEAD });
      deepEqual(watchedOf(subject), []);
    }
    await bringsBack(subject, at(TIMES - 1));
  },
});

Deno.test({
  name: "a program that another one takes the place of while it is copied is saved as that one",
  ignore,
  async fn() {
    using images = new ImageHome();
    // The shell's memory is copied, and sleep's is saved. It forks nothing: what came of that would have its memory.
    await using subject = await Subject.spawn("sh", {
      args: ["-c", `trap "exec sleep 1000" USR1; while :; do :; done`],
    });
    let isSent = false;
    pause(100);
    await checkpoint(subject.pid, {
      directory: images.directory,
      leaveRunning: true,
      options: AHEAD,
      onEvent: (event) => {
        if (isSent || event.kind !== "progress" || readStatus(subject.pid).tracerPid !== 0) return;
        isSent = true;
        Deno.kill(subject.pid, "SIGUSR1");
        while (commOf(subject.pid) !== "sleep") pause(1);
      },
    });
    ok(isSent, "something was copied ahead");
    Deno.kill(-subject.pid, "SIGKILL");
    await subject.waitGone();
    const tree = await restore(images.directory);
    equal(commOf(subject.pid), "sleep");
    Deno.kill(subject.pid, "SIGKILL");
    await tree.wait();
  },
});

Deno.test({
  name: "a disk that is full before the freeze leaves the subject as it was, and no directory",
  ignore,
  async fn(t) {
    await using subject = await Subject.start("remade", { args: ["32"] });
    using room = new ImageRoom();
    await withSmallDisk(room.path, t, async (disk) => {
      disk.limit("size=20m");
      const directory = `${disk.path}/images`;
      const full = await failureOf(
        checkpoint(subject.pid, { directory, leaveRunning: true, options: AHEAD }),
      );
      equal(full.errno, "ENOSPC");
      // On a busy machine it may be copied when the subject stands still after all.
      match(full.message, /(no space left to|cannot) write .*pages-1\.img/);
      deepEqual([...Deno.readDirSync(disk.path)], []);
      deepEqual(watchedOf(subject), []);
      disk.limit("size=60m");
      const controller = new AbortController();
      const cancelled = await failureOf(checkpoint(subject.pid, {
        directory,
        leaveRunning: true,
        options: AHEAD,
        signal: controller.signal,
        onEvent: ({ kind }) => void (kind === "progress" && controller.abort()),
      }));
      equal(cancelled.code, "cancelled");
      deepEqual([...Deno.readDirSync(disk.path)], []);
      deepEqual(watchedOf(subject), []);
    });
    await subject.expectPass();
  },
});

Deno.test({
  name: "nothing is left where the tool is killed while it copies ahead",
  ignore,
  async fn() {
    await using subject = await Subject.start("remade", { args: [MUCH] });
    const before = readFds(subject.pid);
    // The guardian is made in the first half, and the warm-up.
    await killsFrom(0.4, subject, (where) => {
      equal(readStatus(subject.pid).tracerPid, 0, where);
      deepEqual(watchedOf(subject), [], where);
      deepEqual(readFds(subject.pid), before, where);
    });
  },
});

async function bringsBack(subject: Subject, directory: string): Promise<void> {
  const tree = await restored(subject, directory);
  await subject.expectPass();
  await tree.wait();
}

async function restored(subject: Subject, directory: string) {
  // Its process group: what it has just forked is in no listing yet.
  Deno.kill(-subject.pid, "SIGKILL");
  await subject.waitGone();
  return await restore(directory);
}

/** The mappings of a subject that are registered with a userfaultfd. */
function watchedOf({ pid }: Subject): string[] {
  return readSmaps(pid).filter(({ flags }) => flags.has("uw")).map(({ start, name }) =>
    `${start.toString(16)} ${name}`
  );
}

/** How much of a file is not a hole, in bytes. */
function allocated(path: string): number {
  return 512 * (Deno.statSync(path).blocks ?? 0);
}

function commOf(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
}

Deno.test({
  name: "what cannot be stopped in time is not copied ahead, and runs on",
  ignore,
  async fn() {
    await using subject = await Subject.start("threads_many", { args: ["4"] });
    const task = new Task(subject.pid);
    const { pid, vmas, stat: { startTime } } = task;
    const said: string[] = [];
    using quick = new QuickMappings([task], 0n);
    await using ahead = new AheadOfFreeze({
      root: { pid, startTime },
      threads: 1,
      plugins: [],
      options: {},
      hooked: [],
      startRescuer: (pid) => Guardian.start([pid]),
      cancellation: new Cancellation(new AbortController().signal),
      timeout: Number.MIN_VALUE,
      quick,
      detail: (text) => void said.push(text),
    });
    equal(ahead.watch(task, vmas), undefined);
    equal(ahead.settleCalls(), false);
    equal(said.length, 2);
    for (const text of said) {
      match(text, /: .*(?:cannot be stopped|could not be stopped|does not stop)/);
    }
    equal(readStatus(pid).tracerPid, 0);
    await subject.expectPass();
  },
});
