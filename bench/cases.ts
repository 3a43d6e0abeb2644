/**
 * What is measured: programs that grow in one thing each.
 *
 * @module
 */

import { Subject } from "../tests/harness/subject.ts";

/** One thing that grows. */
export interface Case {
  /** As it is named on the command line. */
  readonly name: string;
  readonly title: string;
  /** What grows. */
  readonly unit: string;
  /** The sizes to measure, ascending. */
  readonly sizes: readonly number[];
  /** Starts the program and waits until it is ready. */
  start(size: number): Promise<Subject>;
}

/** Setting up takes long for the largest. */
const TIMEOUT_MS = 120_000;

const subject = (name: string) => (size: number) =>
  Subject.start(name, { args: [String(size)], timeoutMs: TIMEOUT_MS });

/** A program that does something so many times, and then waits. */
const perl = (use: string, something: string) => (size: number): Promise<Subject> =>
  Subject.run("/usr/bin/perl", {
    args: [
      "-e",
      `${use} for (1 .. ${size}) { ${something} } $| = 1; print "ready\\n"; sleep 1000 while 1;`,
    ],
    timeoutMs: TIMEOUT_MS,
  });

/** All cases but the memory, which has its own measure. */
export const CASES: readonly Case[] = [
  {
    name: "small",
    title: "a small process",
    unit: "process",
    sizes: [1],
    start: () => Subject.start("sud_null_selector"),
  },
  {
    name: "threads",
    title: "threads",
    unit: "thread",
    sizes: [100, 250, 500, 1000],
    start: subject("threads_many"),
  },
  {
    name: "processes",
    title: "processes",
    unit: "process",
    sizes: [25, 50, 100],
    start: subject("tree_many"),
  },
  {
    name: "descriptors",
    title: "open files",
    unit: "file",
    sizes: [250, 500, 1000],
    // Each an open file description of its own.
    start: perl("", `open(my $file, "<", "/proc/self/exe") or die; push @files, $file;`),
  },
  {
    name: "sockets",
    title: "pairs of sockets, with 100 bytes in each",
    unit: "pair",
    sizes: [100, 200, 400],
    start: perl(
      "use Socket;",
      `socketpair(my $one, my $other, AF_UNIX, SOCK_STREAM, 0) or die; syswrite $one, "x" x 100; push @all, $one, $other;`,
    ),
  },
  {
    name: "mappings",
    title: "mappings",
    unit: "mapping",
    sizes: [5000, 10_000, 20_000],
    start: subject("mem_many"),
  },
];
