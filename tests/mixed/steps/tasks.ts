/**
 * Steps that make processes and threads, and end or stop them.
 *
 * @module
 */

import type { Step } from "./step.ts";

export const TASKS = {
  process: {
    weight: 14,
    make({ random, task, tasks, add, addTask }) {
      if (tasks.length > 9) return;
      const shared = random.some(["files", "fs", "sysvsem", "io"], 0.25);
      if (random.chance(0.1)) shared.push("vm", ...random.some(["sighand"], 0.5));
      if (task.process !== 0) shared.push(...random.some(["parent"], 0.1));
      const words = [
        ...shared,
        ...random.some(["exitsig=0", "exitsig=28"], 0.1),
        ...random.some(["ownsession", "owngroup"], 0.15),
        ...random.some(["nap", "poll", "limit"], 0.12),
      ];
      const id = add("proc", task.id, words);
      const descriptors = shared.includes("files") ? task.descriptors : new Set(task.descriptors);
      addTask(id, id, descriptors);
    },
  },
  thread: {
    weight: 8,
    make({ random, task, tasks, add, addTask }) {
      if (tasks.length > 12) return;
      const id = add("thread", task.id, random.some(["nap", "poll", "limit"], 0.2));
      addTask(id, task.process, task.descriptors);
    },
  },
  stopped: {
    weight: 2,
    make({ task, add, stopped }) {
      if (task.process === 0 || stopped.has(task.process)) return;
      stopped.add(task.process);
      add("stop", task.process, []);
    },
  },
  ended: {
    weight: 0,
    make({ random, task, tasks, parts, add, stopped }) {
      if (task.id === 0 || stopped.has(task.process)) return;
      const mates = tasks.filter(({ process }) => process === task.process);
      const alone = task.id !== task.process ||
        (mates.length > 1 && random.chance(0.3));
      // Who dies of a signal that it caught takes the handler away before, and from all who share it.
      const isShared = parts.some(({ words }) => words.includes("sighand"));
      const signal = random.pick(isShared ? [9] : [9, 15, 6]);
      const how = random.pick([[`status=${random.between(0, 9)}`], [`signal=${signal}`]]);
      add("end", task.id, alone ? ["alone"] : how);
      for (const mate of alone ? [task] : mates) mate.ended = true;
    },
  },
} satisfies Readonly<Record<string, Step>>;
