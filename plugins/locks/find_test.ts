import { deepEqual } from "@std/assert";
import { parseLock } from "../../core/linux/procfs/mod.ts";
import { findLocks } from "./find.ts";

/** A descriptor of an open file, which is a number, with these lines. */
const descriptor = (pid: number, fd: number, file: number, ...lines: string[]) => ({
  pid,
  liveTid: pid,
  fd,
  file,
  isInFlight: false,
  info: { locks: lines.map(parseLock) },
});

function found(...all: ReturnType<typeof descriptor>[]): string[] {
  return findLocks(all, (a, b) => a.file - b.file)
    .map(({ lock, descriptor: { pid, fd } }) => `${lock.type} ${pid} ${fd}`).sort();
}

const FLOCK = "1: FLOCK  ADVISORY  READ 7 fe:00:9 0 EOF";

Deno.test("findLocks() finds a lock of an open file once, however many have it", () => {
  deepEqual(
    found(descriptor(7, 3, 1, FLOCK), descriptor(7, 4, 1, FLOCK), descriptor(8, 3, 1, FLOCK)),
    ["FLOCK 7 3"],
  );
});

Deno.test("findLocks() tells locks of two open files apart that look the same", () => {
  deepEqual(
    found(descriptor(7, 3, 2, FLOCK), descriptor(7, 4, 1, FLOCK), descriptor(7, 5, 2, FLOCK)),
    ["FLOCK 7 3", "FLOCK 7 4"],
  );
});

Deno.test("findLocks() prefers the task that took it, and takes another where that has closed it", () => {
  deepEqual(found(descriptor(5, 3, 1, FLOCK), descriptor(7, 9, 1, FLOCK)), ["FLOCK 7 9"]);
  deepEqual(found(descriptor(5, 3, 1, FLOCK), descriptor(6, 9, 1, FLOCK)), ["FLOCK 5 3"]);
});

Deno.test("findLocks() prefers a task's descriptor to one in flight", () => {
  const inFlight = { ...descriptor(9, 40, 1, FLOCK), isInFlight: true };
  deepEqual(found(inFlight, descriptor(5, 3, 1, FLOCK)), ["FLOCK 5 3"]);
  deepEqual(found(descriptor(5, 3, 1, FLOCK), inFlight), ["FLOCK 5 3"]);
});

Deno.test("findLocks() finds each POSIX lock of each process once", () => {
  const mine = "1: POSIX  ADVISORY  READ 7 fe:00:9 0 9";
  const more = "2: POSIX  ADVISORY  READ 7 fe:00:9 20 29";
  const theirs = "1: POSIX  ADVISORY  READ 8 fe:00:9 0 9";
  deepEqual(
    found(
      descriptor(7, 3, 1, mine, more),
      descriptor(7, 4, 1, mine, more),
      descriptor(8, 3, 1, theirs),
    ),
    ["POSIX 7 3", "POSIX 7 3", "POSIX 8 3"],
  );
});
