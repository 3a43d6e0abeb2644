/**
 * Steps that set timers, and leave signals waiting.
 *
 * @module
 */

import { times } from "./times.ts";
import type { Step } from "./step.ts";

const CLOCKS = ["mono", "mono", "real", "boot", "tai", "cpu", "thread"];

export const TIMERS = {
  timer: {
    weight: 6,
    make({ random, task, tasks, add }) {
      const mates = tasks.filter(({ process, id }) => process === task.process && id !== 0);
      const notify = random.pick([[], ["none"], ["thread"]]);
      add("timer", task.id, [
        `clock=${random.pick(CLOCKS)}`,
        ...times(random),
        ...notify,
        ...(notify[0] === "thread" && mates.length > 0 ? [`#${random.pick(mates).id}`] : []),
        ...(random.chance(0.15) ? [`skip=${random.pick([1, 5, 70])}`] : []),
      ]);
    },
  },
  itimer: {
    weight: 3,
    make({ random, task, tasks, parts, add }) {
      const which = random.pick(["real", "virtual", "prof"]);
      const mates = tasks.filter(({ process }) => process === task.process).map(({ id }) => id);
      // A process has one of each.
      if (parts.some((p) => p.op === "itimer" && p.words[0] === which && mates.includes(p.task))) {
        return;
      }
      add("itimer", task.id, [
        which,
        ...times(random).map((word) => word.replace("4000000000", "1000000")),
      ]);
    },
  },
  pending: {
    weight: 4,
    make({ random, task, add, parts }) {
      // One part a signal: two would take each other's.
      const free = [16, 39, 40, 41, 42].filter((sig) =>
        !parts.some(({ op, words }) => op === "pending" && words.includes(`sig=${sig}`))
      );
      if (free.length === 0) return;
      const sig = random.pick(free);
      add("pending", task.id, [
        `sig=${sig}`,
        ...(sig > 32 ? [`n=${random.between(1, 5)}`] : []),
        ...random.some(["thread"], 0.5),
      ]);
    },
  },
} satisfies Readonly<Record<string, Step>>;
