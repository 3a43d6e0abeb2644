/**
 * Steps that make threads and programs which sit in a call, and traps for calls.
 *
 * @module
 */

import type { Step } from "./step.ts";

export const CALLS = {
  wait: {
    weight: 10,
    make({ random, task, add }) {
      const call = random.pick([
        ...["read", "write", "poll", "pollms", "ppoll", "select", "epoll", "futex", "pause"],
        ...["suspend", "sigwait", "sleep", "until"],
      ]);
      const more = call === "write" ? [] : random.some(["socket", "limit"], 0.3);
      add("wait", task.id, [call, ...more]);
    },
  },
  program: {
    weight: 3,
    make(context) {
      const { random, parts } = context;
      if (parts.filter(({ op }) => op === "program").length > 2) return;
      context.add("program", context.task.id, [random.pick(["cat", "sh"])]);
    },
  },
  dispatch: {
    weight: 4,
    make({ random, task, add, parts }) {
      if (parts.some(({ op, task: by }) => op === "dispatch" && by === task.id)) return;
      add("dispatch", task.id, [
        random.pick(["allow", "block", "null"]),
        ...random.some(["onstack"], 0.2),
      ]);
    },
  },
  filter: {
    weight: 4,
    make({ random, task, add }) {
      add("filter", task.id, random.some(["tsync"], 0.2));
    },
  },
} satisfies Readonly<Record<string, Step>>;
