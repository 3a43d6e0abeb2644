import { deepEqual, equal } from "@std/assert";
import { appendSharedRuns, hasShared, readFrames, type SharedRun } from "./shared_frames.ts";

const PRESENT = 1n << 63n, SWAPPED = 1n << 62n, FILE = 1n << 61n, EXCLUSIVE = 1n << 56n;
const page = 4096n;

/** Entries of the file as they are read. */
const words = (...entries: bigint[]) => new Uint32Array(new BigUint64Array(entries).buffer);

Deno.test("readFrames() takes private pages that somebody else has, and whose frames stay the same", () => {
  const entries = [
    PRESENT | 7n,
    PRESENT | EXCLUSIVE | 7n,
    PRESENT | FILE | 7n,
    SWAPPED | 7n,
    0n,
    PRESENT | 8n,
    PRESENT | 0x40_0000_0001n,
  ];
  const again = [...entries];
  again[5] = PRESENT | 9n;
  const frames = new Float64Array(8);
  equal(readFrames(words(...entries), words(...again), frames, [{ from: 0, to: 7 }]), true);
  deepEqual([...frames], [7, 0, 0, 0, 0, 0, 0x40_0000_0001, 0]);
});

Deno.test("readFrames() looks at the parts alone", () => {
  const entries = words(...[1n, 2n, 3n, 4n, 5n].map((frame) => PRESENT | frame));
  const frames = new Float64Array(5);
  equal(readFrames(entries, entries, frames, [{ from: 1, to: 2 }, { from: 3, to: 4 }]), true);
  deepEqual([...frames], [0, 2, 0, 4, 0]);
  equal(readFrames(entries, entries, frames, []), false);
});

Deno.test("readFrames() finds none where nobody may know them", () => {
  const entries = words(PRESENT, PRESENT);
  equal(readFrames(entries, entries, new Float64Array(2), [{ from: 0, to: 2 }]), false);
});

Deno.test("hasShared() looks at the parts alone", () => {
  const entries = words(PRESENT | EXCLUSIVE | 3n, PRESENT | FILE | 4n, PRESENT | 5n);
  equal(hasShared(entries, [{ from: 0, to: 1 }, { from: 1, to: 2 }]), false);
  equal(hasShared(entries, [{ from: 0, to: 1 }, { from: 2, to: 3 }]), true);
});

/** Finds the runs of tasks whose frames are given page by page; 0 is none. */
function runsOf(...frames: number[][]): [first: bigint, pages: bigint, tasks: readonly number[]][] {
  const runs: SharedRun[] = [];
  appendSharedRuns(
    runs,
    100n * page,
    frames.map((own) => Float64Array.from(own)),
    frames.map((_, index) => index),
  );
  return runs.map(({ start, size, tasks }) => [start / page - 100n, size / page, tasks]);
}

Deno.test("appendSharedRuns() gives runs of pages that the same tasks share", () => {
  deepEqual(
    runsOf(
      [1, 2, 3, 4, 0, 6, 7, 8],
      [1, 2, 30, 4, 0, 0, 70, 0],
      [1, 2, 3, 40, 5, 6, 70, 0],
    ),
    [
      [0n, 2n, [0, 1, 2]],
      [2n, 1n, [0, 2]],
      [3n, 1n, [0, 1]],
      [5n, 1n, [0, 2]],
      [6n, 1n, [1, 2]],
    ],
  );
});

Deno.test("appendSharedRuns() chooses the frame that most have", () => {
  deepEqual(runsOf([1, 1], [1, 1], [2, 2], [2, 0], [2, 0]), [
    [0n, 1n, [2, 3, 4]],
    [1n, 1n, [0, 1]],
  ]);
});

Deno.test("appendSharedRuns() finds nothing where all frames are different", () => {
  deepEqual(runsOf([1, 2, 0], [3, 4, 0]), []);
});

Deno.test("appendSharedRuns() goes on with a run that the windows have cut", () => {
  const runs: SharedRun[] = [];
  const frames = [Float64Array.of(1, 2), Float64Array.of(1, 2)];
  appendSharedRuns(runs, 0n, frames, [3, 5]);
  appendSharedRuns(runs, 2n * page, frames, [3, 5]);
  appendSharedRuns(runs, 4n * page, frames, [3, 6]);
  deepEqual(runs, [
    { start: 0n, size: 4n * page, tasks: [3, 5] },
    { start: 4n * page, size: 2n * page, tasks: [3, 6] },
  ]);
});
