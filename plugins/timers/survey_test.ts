import { deepEqual, equal, match } from "@std/assert";
import type { PosixTimer } from "../../core/linux/procfs/mod.ts";
import { threadClock } from "./clock.ts";
import { timerProblems } from "./survey.ts";

const timer = (clockId: number, tid?: number): PosixTimer => ({
  id: 7,
  signal: 14,
  sigval: 0n,
  notify: "signal",
  tid,
  clockId,
});
/** The problems of a process 10 with threads 10 and 11, whose child 20 has thread 21. */
const problems = (...timers: PosixTimer[]) =>
  timerProblems(
    [
      { pid: 10, threads: [10, 11], timers },
      { pid: 20, threads: [20, 21], timers: [] },
    ],
  ).map(({ what }) => what);
const processClock = (pid: number) => (~pid << 3) | 2;

Deno.test("timerProblems() lets timers be that can be made again", () => {
  deepEqual(problems(timer(1), timer(0, 11), timer(1, 99), timer(-6)), []);
  deepEqual(problems(timer(threadClock(11)), timer(threadClock(99)), timer(-2, 11)), []);
  deepEqual(problems(timer(processClock(20))), []);
});

Deno.test("timerProblems() refuses clocks of processes outside, and of a thread that is not told", () => {
  match(problems(timer(processClock(1)))[0] ?? "", /process 1, which is not of the tree/);
  match(problems(timer(-2))[0] ?? "", /does not tell which/);
  match(problems(timer(-2, 99))[0] ?? "", /does not tell which/);
});

Deno.test("timerProblems() refuses ended threads whose ids others have", () => {
  equal(problems(timer(1, 21), timer(1, 20), timer(threadClock(21))).length, 3);
});
