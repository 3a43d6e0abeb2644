import { deepEqual, equal } from "@std/assert";
import type { EpollTarget } from "../../core/linux/procfs/mod.ts";
import { hasFired } from "./fired.ts";
import { type Comparison, findTargets } from "./targets.ts";

const target = (tfd: number, ino: bigint): EpollTarget => ({
  tfd,
  events: 1,
  data: 0n,
  pos: 0n,
  ino,
  dev: { major: 0, minor: 1 },
});
const candidate = (fd: number, ino?: bigint) => ({ fd, info: { ino } });

/** kcmp of a task whose descriptors lead to these files, and an instance that has these under each number. */
function kcmp(files: Record<number, string>, entries: Record<number, string[]>) {
  return (fd: number, tfd: number, toff: number): Comparison => {
    const entry = entries[tfd]?.[toff];
    if (entry === undefined) return "gone";
    return files[fd] === entry ? "same" : "other";
  };
}

Deno.test("findTargets() takes the number itself where it still is that file", () => {
  const found = findTargets([target(5, 1n)], [candidate(5, 1n)], kcmp({ 5: "a" }, { 5: ["a"] }));
  deepEqual(found.map(({ fd }) => fd), [5]);
});

Deno.test("findTargets() finds a duplicate of a file whose number was closed, or reused", () => {
  const compare = kcmp({ 5: "b", 9: "a" }, { 5: ["a", "b"] });
  const candidates = [candidate(5, 2n), candidate(9, 1n)];
  const found = findTargets([target(5, 1n), target(5, 2n)], candidates, compare);
  deepEqual(found.map(({ fd }) => fd), [9, 5]);
});

Deno.test("findTargets() asks every descriptor on kernels whose fdinfo has no inode", () => {
  const compare = kcmp({ 9: "a" }, { 5: ["a"] });
  deepEqual(findTargets([target(5, 1n)], [candidate(9)], compare).map(({ fd }) => fd), [9]);
});

Deno.test("findTargets() says what no descriptor leads to, and leaves out what is gone", () => {
  const compare = kcmp({ 9: "x" }, { 5: ["a"] });
  const found = findTargets([target(5, 1n), target(6, 1n)], [candidate(9, 1n)], compare);
  deepEqual(found.map(({ target, fd }) => [target.tfd, fd]), [[5, undefined]]);
});

Deno.test("hasFired() knows a one-shot that waits to be armed again", () => {
  equal(hasFired(0x4000_0000), true);
  equal(hasFired(0xc000_0000), true);
  equal(hasFired(0x4000_0001), false);
  equal(hasFired(0x8000_0000), false);
});
