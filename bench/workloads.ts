/**
 * What the commands are measured with: programs at rest that have much of one thing each.
 *
 * @module
 */

import { Subject } from "../tests/harness/subject.ts";

/** One program, to be started anew for each round. */
export interface Workload {
  /** As it is named on the command line. */
  readonly name: string;
  /** What it is called at a size. */
  title(size: number): string;
  /** The kind of thing that it has (`tests/subjects/many.c`). */
  readonly kind: string;
  /** How many: the usual size, and the smallest that still makes sense. */
  readonly size: number;
  readonly smallest: number;
  /** Whether each of the things is a process. */
  readonly isTree?: boolean;
}

/** The rows of the table, in its order. */
export const WORKLOADS: readonly Workload[] = [
  { name: "small", title: () => "small process", kind: "files", size: 1, smallest: 1 },
  { name: "threads", title: (n) => `${n} threads`, kind: "threads", size: 1000, smallest: 3 },
  {
    name: "tree",
    title: (n) => `tree of ${n}`,
    kind: "processes",
    size: 100,
    smallest: 3,
    isTree: true,
  },
  { name: "files", title: (n) => `${n} files`, kind: "files", size: 1000, smallest: 3 },
  { name: "sockets", title: (n) => `${n} socket pairs`, kind: "streams", size: 200, smallest: 3 },
  { name: "mappings", title: (n) => `${n} mappings`, kind: "mappings", size: 20_000, smallest: 10 },
  {
    name: "memory",
    title: (n) => `${n} MiB, 4 KiB pages`,
    kind: "small_pages",
    size: 1024,
    smallest: 1,
  },
  {
    name: "huge",
    title: (n) => `${n} MiB, huge pages`,
    kind: "huge_pages",
    size: 1024,
    smallest: 2,
  },
];

/** How many it has in a run. @param isSmallest whether the smallest sizes are asked for */
export function sizeOf({ size, smallest }: Workload, isSmallest: boolean): number {
  return isSmallest ? smallest : size;
}

/** Filling a GiB and making thousands of things takes a while. */
const READY_MS = 120_000;

/**
 * Starts a program that has so many things.
 *
 * @param processes how many processes share them
 * @param cwd where it makes files
 */
export async function startMany(
  kind: string,
  size: number,
  processes: number,
  cwd: string,
): Promise<Subject> {
  const args = [kind, size, processes].map(String);
  return await Subject.start("many", { args, cwd, timeoutMs: READY_MS });
}
