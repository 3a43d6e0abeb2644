import { equal, ok } from "@std/assert";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { WAITS } from "../../images/kinds/time.ts";
import { checkpoint, openImages, restore } from "../../mod.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone } from "./round_trip.ts";

Deno.test("waits eintr: what ends with EINTR does so after a restore", (t) =>
  bringsBack(t, "waits", { args: ["eintr", "stopped"], ignore: [/./] }));
Deno.test("waits eintr: what ends with EINTR does so in a program that runs on", (t) =>
  leavesAlone(t, "waits", { args: ["eintr", "stopped"], ignore: [/./] }));

const SECOND = 1_000_000_000n;

/** What the wait of each thread of the images has left, but for first threads, which sleep again and again. */
function timesLeft(directory: string): Map<number, { call: number; left: bigint }> {
  const images = openImages(directory);
  return new Map(
    images.readList(WAITS, null).filter(({ pid, tid }) => pid !== tid)
      .map(({ tid, call, left }) => [tid, { call, left }]),
  );
}

/** The calls that the subject waits in, and whose end is in the images. */
const CALLS = [
  SYSCALLS.poll,
  SYSCALLS.nanosleep,
  SYSCALLS.nanosleep,
  SYSCALLS.futex,
  SYSCALLS.clock_nanosleep,
  SYSCALLS.clock_nanosleep,
].sort((a, b) => a - b).join();

Deno.test("waits: each goes on for what was left of it, however often it is saved", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("waits", { args: ["relative", "stopped"] });
  let count = 0;
  /** Saves the subject until every wait is there: on a machine that is busy one may not be found at once. */
  const save = async () => {
    for (let tries = 0;; tries++) {
      const directory = `${images.directory}-${count++}`;
      await checkpoint(subject.pid, { directory, leaveRunning: true });
      const times = timesLeft(directory);
      const calls = [...times.values()].map(({ call }) => call).sort((a, b) => a - b).join();
      if (calls === CALLS || tries === 10) {
        equal(calls, CALLS);
        return { directory, times };
      }
    }
  };
  const first = await save();
  const second = await save();
  Deno.kill(subject.pid, "SIGKILL");
  await subject.waitGone();
  const tree = await restore(second.directory);
  const third = await save();
  let limits = new Map<number, bigint>();
  for (const { times } of [first, second, third]) {
    for (const [tid, { call, left }] of times) {
      // poll(2) counts whole milliseconds.
      const limit = (limits.get(tid) ?? 999n * SECOND) + 1_000_000n;
      ok(left <= limit, `call ${call}: ${left} ns of ${limit}`);
      ok(left > 500n * SECOND, `call ${call}: ${left} ns`);
    }
    limits = new Map([...times].map(([tid, { left }]) => [tid, left]));
  }
  await subject.expectPass();
  await tree.wait();
});
