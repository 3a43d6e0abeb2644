import { equal, ok } from "@std/assert";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { WAITS } from "../../images/kinds/time.ts";
import { checkpoint, openImages, restore } from "../../mod.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone } from "./round_trip.ts";

Deno.test("waits eintr: what ends with EINTR does so after a restore", (t) =>
  bringsBack(t, "waits", { args: ["eintr"], ignore: [/./] }));
Deno.test("waits eintr: what ends with EINTR does so in a program that runs on", (t) =>
  leavesAlone(t, "waits", { args: ["eintr"], ignore: [/./] }));

const SECOND = 1_000_000_000n;

/** What the wait of each thread of the images has left, but for first threads, which sleep again and again. */
function timesLeft(directory: string): Map<number, { call: number; left: bigint }> {
  const images = openImages(directory);
  return new Map(
    images.readList(WAITS, null).filter(({ pid, tid }) => pid !== tid)
      .map(({ tid, call, left }) => [tid, { call, left }]),
  );
}

Deno.test("waits: each goes on for what was left of it, however often it is saved", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("waits", { args: ["relative"] });
  const whole = 1000n * SECOND;
  const directories = ["-0", "-1", "-2"].map((end) => images.directory + end) as [
    string,
    string,
    string,
  ];
  await checkpoint(subject.pid, { directory: directories[0], leaveRunning: true });
  await checkpoint(subject.pid, { directory: directories[1] });
  const tree = await restore(directories[1]);
  await checkpoint(subject.pid, { directory: directories[2], leaveRunning: true });
  let before = new Map<number, { call: number; left: bigint }>();
  for (const directory of directories) {
    const times = timesLeft(directory);
    equal(
      [...times.values()].map(({ call }) => call).sort((a, b) => a - b).join(),
      [
        SYSCALLS.poll,
        SYSCALLS.nanosleep,
        SYSCALLS.nanosleep,
        SYSCALLS.futex,
        SYSCALLS.clock_nanosleep,
        SYSCALLS.clock_nanosleep,
      ].sort((a, b) => a - b).join(),
    );
    for (const [tid, { call, left }] of times) {
      // poll(2) counts whole milliseconds.
      const limit = before.get(tid)?.left ?? whole - SECOND;
      ok(left <= limit + 1_000_000n, `call ${call}: ${left} ns of ${limit}`);
      ok(left > whole / 2n, `call ${call}: ${left} ns`);
    }
    before = times;
  }
  await subject.expectPass();
  await tree.wait();
});
