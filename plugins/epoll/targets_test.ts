import { deepEqual, equal, ok } from "@std/assert";
import type { EpollTarget } from "../../core/linux/procfs/mod.ts";
import { hasFired } from "./fired.ts";
import {
  type Candidate,
  CandidateIndex,
  type Comparer,
  findTargets as find,
  type Hints,
} from "./targets.ts";

const findTargets = (
  targets: readonly EpollTarget[],
  candidates: readonly Candidate[],
  comparer: Comparer,
  hints?: Hints,
) => find(targets, new CandidateIndex(candidates), comparer, hints);

const target = (tfd: number, ino: bigint): EpollTarget => ({
  tfd,
  events: 1,
  data: 0n,
  pos: 0n,
  ino,
  dev: { major: 0, minor: 1 },
});
const candidate = (fd: number, ino?: bigint, kind: Candidate["link"]["kind"] = "anon-inode") => ({
  fd,
  info: { ino },
  link: { kind },
  identity: { dev: 1 },
});

/**
 * A kernel: a task whose descriptors lead to these files, whose names are their order, and an instance that has
 * these under each number. It counts what it is asked.
 *
 * @param tree where the file of a descriptor lies in the kernel's memory; absent where that cannot be told
 */
function kernel(
  files: Record<number, string>,
  entries: Record<number, string[]>,
  tree?: (fd: number) => number,
) {
  const order = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;
  const asked = { entries: 0, others: 0 };
  const comparer: Comparer = {
    withEntry(fd, tfd, toff) {
      asked.entries++;
      const entry = entries[tfd]?.[toff];
      if (entry === undefined) return "gone";
      const file = files[fd];
      return file === undefined ? "closed" : order(file, entry);
    },
    withOther(fd, other) {
      asked.others++;
      return order(files[fd] as string, files[other] as string);
    },
    inTreeOrder: (fds) => tree === undefined ? [] : fds.toSorted((a, b) => tree(a) - tree(b)),
  };
  return { comparer, asked };
}

Deno.test("findTargets() takes the number itself where it still is that file", () => {
  const { comparer } = kernel({ 5: "a" }, { 5: ["a"] });
  deepEqual(findTargets([target(5, 1n)], [candidate(5, 1n)], comparer).map(({ fd }) => fd), [5]);
});

Deno.test("findTargets() finds a duplicate of a file whose number was closed, or reused", () => {
  const { comparer } = kernel({ 5: "b", 9: "a" }, { 5: ["a", "b"] });
  const candidates = [candidate(5, 2n), candidate(9, 1n)];
  const found = findTargets([target(5, 1n), target(5, 2n)], candidates, comparer);
  deepEqual(found.map(({ fd }) => fd), [9, 5]);
});

Deno.test("findTargets() asks every descriptor on kernels whose fdinfo has no inode", () => {
  const { comparer } = kernel({ 9: "a" }, { 5: ["a"] });
  deepEqual(findTargets([target(5, 1n)], [candidate(9)], comparer).map(({ fd }) => fd), [9]);
});

Deno.test("findTargets() says what no descriptor leads to, and leaves out what is gone", () => {
  const { comparer } = kernel({ 9: "x" }, { 5: ["a"] });
  const found = findTargets([target(5, 1n), target(6, 1n)], [candidate(9, 1n)], comparer);
  deepEqual(found.map(({ target, fd }) => [target.tfd, fd]), [[5, undefined]]);
});

Deno.test("findTargets() need not ask about sockets, each of which has an inode of its own", () => {
  const { comparer, asked } = kernel({ 5: "a", 6: "b" }, { 5: ["a"], 6: ["c"] });
  const candidates = [candidate(5, 1n, "socket"), candidate(6, 2n, "socket")];
  const found = findTargets([target(5, 1n), target(6, 3n)], candidates, comparer);
  deepEqual(found.map(({ fd }) => fd), [5, undefined]);
  equal(asked.entries, 0);
  const fifo = { ...target(5, 1n), dev: { major: 0, minor: 2 } };
  findTargets([fifo], candidates, comparer);
  equal(asked.entries, 1, "an inode of another file system");
});

Deno.test("findTargets() asks about n log n times for n closed numbers", () => {
  const count = 1000;
  const files: Record<number, string> = {};
  const entries: Record<number, string[]> = {};
  const targets: EpollTarget[] = [];
  const candidates: Candidate[] = [];
  for (let number = 0; number < count; number++) {
    // In an order of their own.
    const file = String(number * 7919 % count).padStart(4, "0");
    files[count + number] = file;
    entries[number] = [file];
    targets.push(target(number, 1n));
    candidates.push(candidate(count + number, 1n));
  }
  const { comparer, asked } = kernel(files, entries);
  const found = findTargets(targets, candidates, comparer);
  deepEqual(found.map(({ fd }) => fd), targets.map(({ tfd }) => tfd + count));
  ok(asked.entries <= 10 * count && asked.others <= 10 * count, JSON.stringify(asked));
  // A second look asks about each once, and finds what has changed meanwhile all the same.
  const hints: Hints = new Map();
  findTargets(targets, candidates, comparer, hints);
  Object.assign(asked, { entries: 0, others: 0 });
  deepEqual(findTargets(targets, candidates, comparer, hints), found);
  deepEqual(asked, { entries: count, others: 0 });
  [files[count], files[count + 1]] = [files[count + 1]!, files[count]!];
  const again = findTargets(targets, candidates, comparer, hints);
  deepEqual(again.slice(0, 3).map(({ fd }) => fd), [count + 1, count, count + 2]);
});

Deno.test("hasFired() knows a one-shot that waits to be armed again", () => {
  equal(hasFired(0x4000_0000), true);
  equal(hasFired(0xc000_0000), true);
  equal(hasFired(0x4000_0001), false);
  equal(hasFired(0x8000_0000), false);
});

Deno.test("findTargets() asks about once for each entry where the kernel's order is known", () => {
  const count = 500;
  // Every third descriptor is watched by nobody.
  const fds = Array.from({ length: count }, (_, index) => index + 10);
  const files = Object.fromEntries(fds.map((fd) => [fd, `${(fd * 7919) % 1000}-${fd}`]));
  const place = (fd: number) => (fd * 613) % 1009;
  const watched = fds.filter((fd) => fd % 3 !== 0).toSorted((a, b) => place(a) - place(b));
  const { comparer, asked } = kernel(files, { 5: watched.map((fd) => files[fd] as string) }, place);
  const found = findTargets(
    watched.map(() => target(5, 1n)),
    fds.map((fd) => candidate(fd, 1n)),
    comparer,
  );
  deepEqual(found.map(({ fd }) => fd), watched);
  ok(asked.entries < 3 * watched.length, `${asked.entries} questions`);
});
