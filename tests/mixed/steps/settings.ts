/**
 * Steps that have a task set something for itself.
 *
 * @module
 */

import type { Random } from "../random.ts";
import type { Step } from "./step.ts";

/** SIGUSR1 and SIGTERM are the dialogue's; SIGALRM, SIGVTALRM and SIGPROF belong to timers; SIGCHLD comes as it likes. */
const UNMASKED = 1 << 9 | 1 << 14 | 1 << 13 | 1 << 25 | 1 << 26 | 1 << 16;

/** What a task can set for itself: the words of a `set` part. */
const SETTINGS: readonly ((random: Random) => string[])[] = [
  (random) => ["name", `v=${random.pick(["a", "fifteen-letters", "with space", "(x) S 1"])}`],
  (random) => ["nice", `v=${random.between(1, 15)}`],
  (random) => ["sched", `v=${random.pick([1, 2, 3, 5])}`, ...random.some(["reset"], 0.3)],
  (random) => ["affinity", `v=${random.between(0, 7)}`],
  (random) => ["ioprio", `v=${random.between(0, 7)}`],
  (random) => {
    // Not of CPU time, size, data, stack, processes, files, address space: those end or hinder the subject.
    const of = random.pick([4, 5, 8, 10, 11, 12, 14]);
    return [
      "limit",
      `of=${of}`,
      `v=${random.between(1, 30) * 65_536}`,
      ...random.some(["hard"], 0.2),
    ];
  },
  (random) => [random.pick(["cgroup", "cgroup", "cgroup2"]), `v=${random.between(0, 2)}`],
  () => ["session"],
  () => ["group"],
  (random) => ["cwd", ...random.some(["deleted"], 0.3)],
  (random) => ["mask", `v=${random.between(0, 2 ** 30) & ~UNMASKED}`],
  (random) => {
    const flags = random.pick([0, 0x4, 0x10000000, 0x40000000, 0x08000000, 0x80000000, 0x18000004]);
    const sig = random.pick([1, 2, 3, 6, 12, 18, 23, 28, 29, 45, 63]);
    return ["handler", `v=${sig}`, `flags=${flags}`, ...random.some(["ignore"], 0.3)];
  },
  (random) => ["altstack", `v=${random.between(0, 9) * 1000}`, ...random.some(["disarm"], 0.3)],
  (random) => ["pdeathsig", `v=${random.pick([23, 28])}`],
  (random) => ["dumpable", `v=${random.between(0, 1)}`],
  () => ["keepcaps"],
  () => ["nnp"],
  (random) => ["slack", `v=${random.between(1, 100_000)}`],
  () => ["subreaper"],
  () => ["thp"],
  (random) => ["mce", `v=${random.between(0, 1)}`],
  () => ["ksm"],
  (random) => ["personality", `v=${random.pick([0x0040000, 0x0400000, 0x8000000])}`],
  (random) => ["oom", `v=${random.between(1, 900)}`],
  (random) => ["coredump", `v=${random.between(0, 511)}`],
  (random) => ["bounding", `v=${random.pick([10, 12, 13, 22, 25, 26])}`],
  (
    random,
  ) => ["caps", `v=${random.pick([10, 12, 13, 22, 25, 26])}`, ...random.some(["permitted"], 0.5)],
  (random) => ["groups", `v=${random.between(1, 5000)}`],
  (random) => ["gid", `v=${random.between(1, 5000)}`],
  (random) => ["uid", `v=${random.between(1, 5000)}`, ...random.some(["saved"], 0.5)],
  (random) => ["lockall", `v=${random.pick([1, 2, 3, 5, 7])}`],
  (random) => ["slice", `v=${random.between(1, 50)}`],
  () => ["keyring"],
];

export const SETTING = {
  setting: {
    weight: 24,
    make({ random, task, add }) {
      add("set", task.id, random.pick(SETTINGS)(random));
    },
  },
} satisfies Readonly<Record<string, Step>>;
