/**
 * Rings of io_setup(2) at restore: each is made anew, brought to where it stood, and moved to its place.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { MAP, MREMAP, PROT } from "../../core/linux/mman.ts";
import type { LoadContext, MappingPlanner } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { VMA_AREA_AIORING } from "../../images/flags.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import {
  AioRing,
  completions,
  EVENT_SIZE,
  Iocb,
  isSane,
  leastRequests,
  PWRITE,
  ringSize,
} from "./aio_ring.ts";
import type { SavedRun } from "./saved_pages.ts";

const NO_FD = -1;

/** A ring of the images. */
export interface SavedRing {
  readonly start: bigint;
  /** In bytes. */
  readonly size: bigint;
  /** What io_setup(2) is asked for. */
  readonly requests: number;
  readonly head: AioRing;
  /** Where its pages lie. */
  readonly runs: readonly SavedRun[];
}

/** Whether an entry is a ring. */
export function isRingEntry({ status }: Pick<vma_entry, "status">): boolean {
  return (status & VMA_AREA_AIORING) !== 0;
}

/**
 * Finds the rings of a task.
 *
 * @param runs all its pages, ascending
 * @param read reads from a pages file
 * @param processors how many this machine can have
 */
export function loadRings(
  pid: number,
  vmas: readonly vma_entry[],
  runs: readonly SavedRun[],
  read: (path: string, offset: bigint, size: number) => Uint8Array,
  processors: () => number,
  context: Pick<LoadContext, "problem">,
): SavedRing[] {
  return vmas.filter(isRingEntry).flatMap(({ start, end }) => {
    const size = end - start;
    const own = runs.filter((run) => run.start < end && run.start + run.size > start);
    const first = own.find((run) => run.start <= start);
    const head = first &&
      AioRing.read(read(first.pages, first.offset + start - first.start, AioRing.size));
    const what = `its ring of io_setup at ${start.toString(16)}`;
    if (head === undefined || !isSane(head, size)) {
      context.problem({ pid, what: `${what} is damaged in the images` });
      return [];
    }
    const requests = leastRequests(size, processors());
    if (ringSize(requests, processors()) !== size) {
      context.problem({
        pid,
        what: `${what} has ${size} bytes, and this machine, of ${processors()} processors, makes ` +
          "larger ones",
        hint: "restore it on a machine with no more processors than the one that it was saved on",
      });
      return [];
    }
    return [{ start, size, requests, head, runs: own }];
  });
}

/** How many requests contexts may be made for on a machine: `/proc/sys/fs/aio-max-nr`, `aio-nr`. */
export interface RequestLimit {
  readonly most: number;
  /** So many are taken. */
  readonly used: number;
}

/** Says that a machine allows fewer requests than the rings of a tree need. */
export function requestProblem(
  rings: readonly Pick<SavedRing, "requests">[],
  { most, used }: RequestLimit,
): { readonly what: string; readonly hint: string } | undefined {
  const needed = rings.reduce((sum, { requests }) => sum + requests, 0);
  if (needed <= most - used) return undefined;
  return {
    what: `the rings of io_setup need ${needed} requests, and this machine has ${
      Math.max(0, most - used)
    } left of ${most}`,
    hint: `raise /proc/sys/fs/aio-max-nr to ${used + needed}`,
  };
}

/** Keeps the place of a ring free until all else is mapped: the kernel chooses where a new one is. */
export const ringPlanner: MappingPlanner = {
  kind: "a ring of io_setup(2)",
  restores: isRingEntry,
  plan({ start, end }, task) {
    const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE | MAP.FIXED_NOREPLACE;
    task.program("memory").expect(start, "mmap", start, end - start, PROT.NONE, flags, NO_FD, 0);
  },
};

/**
 * Adds the calls that make a ring.
 *
 * @param sink a descriptor of /dev/null, open for writing
 */
export function planRing(
  program: SyscallProgram,
  { start, size, requests: asked, head, runs }: SavedRing,
  sink: number,
): void {
  const made = program.data(new Uint8Array(8), "aio_context_t");
  program.explained(
    (errno) =>
      errno !== "EAGAIN" ? undefined : new StasisError(
        "conflict",
        "there may be no more requests of asynchronous I/O (io_setup) on this machine",
        { errno, hint: "raise /proc/sys/fs/aio-max-nr" },
      ),
    "io_setup",
    asked,
    made,
  );
  const ring = made.long(0);
  const steps = completions(head);
  const most = steps.reduce((max, { count }) => Math.max(max, count), 0);
  if (most > 0) {
    const byte = program.data(new Uint8Array(1), "byte");
    const request = program.data(Iocb.make({ opcode: PWRITE, fd: sink, size: 1n }), "iocb");
    request.point(24, byte);
    const requests = program.data(new Uint8Array(8 * most), `${most} iocbs`);
    for (let index = 0; index < most; index++) requests.point(8 * index, request);
    const events = program.data(new Uint8Array(EVENT_SIZE * most), `${most} io_events`);
    for (const { count, taken } of steps) {
      program.expect(BigInt(count), "io_submit", ring, count, requests);
      if (taken) program.expect(BigInt(count), "io_getevents", ring, count, count, events, 0);
    }
  }
  program.expect(start, "mremap", ring, size, size, MREMAP.MAYMOVE | MREMAP.FIXED, start);
  // The head has what only the kernel of now knows.
  const from = start + BigInt(AioRing.size), to = start + size;
  for (const [path, own] of Map.groupBy(runs, ({ pages }) => pages)) {
    const file = program.call("openat", AT_FDCWD, path, O.RDONLY | O.CLOEXEC, 0);
    for (const run of own) {
      const begin = run.start > from ? run.start : from;
      const end = run.start + run.size < to ? run.start + run.size : to;
      const length = end - begin;
      program.expect(length, "pread64", file, begin, length, run.offset + begin - run.start);
    }
    program.call("close", file);
  }
}

/** How many processors this machine can have: what rings are made for. @param text of `/sys/devices/system/cpu/possible` */
export function parsePossible(text: string): number {
  return text.trim().split(",").reduce((sum, range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return sum + last - first + 1;
  }, 0);
}
