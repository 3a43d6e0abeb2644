/**
 * Steps that make descriptors of every kind, and share, close or hand them on.
 *
 * @module
 */

import { times } from "./times.ts";
import type { Context, Step } from "./step.ts";

/** Epoll instances nest four deep at most, and a chain of them needs care: these are targets of one. */
const POLLABLE = ["pipe", "fifo", "pair", "pty", "server", "event", "timerfd", "signalfd", "pidfd"];
/** What has no plugin. */
const ODD = ["tcp", "udp", "netlink", "uring", "userfault", "dnotify"];

/** Adds a part that is a descriptor of the task. */
function descriptor(context: Context, op: string, words: readonly string[]): void {
  const { random, task, add } = context;
  const extra = random.some(["cloexec"], 0.2);
  task.descriptors.add(add(op, task.id, [...words, ...extra]));
}

/** One of the task's descriptors of these kinds. */
function chooseDescriptor({ random, task, parts }: Context, kinds?: readonly string[]) {
  const fitting = [...task.descriptors].map((id) => parts[id - 1]!)
    .filter(({ op }) => kinds === undefined || kinds.includes(op));
  return fitting.length === 0 ? undefined : random.pick(fitting);
}

export const DESCRIPTORS = {
  file: {
    weight: 10,
    make(context) {
      const { random, refusable } = context;
      const mode = random.pick([["rdonly"], ["wronly"], [], []]);
      const name = random.pick([[], [], [], ["deleted"], ["tmpfile"]]);
      const flags = random.some(["append", "nonblock", "noatime", "sync", "sparse", "async"], 0.15);
      const size = random.pick([0, 5, 100, 100, 4096, 10_000]);
      const lock = random.pick([[], [], [], [], [], ["flock"], ["posix"], ["ofd"]]);
      // A lease of readers wants nobody to write, and one on a deleted file is refused.
      const leased = mode[0] === "rdonly" && (name.length === 0 || refusable);
      const odd = refusable ? random.some(["linked", "excl"], 0.1) : [];
      descriptor(context, "file", [
        ...(name[0] === "tmpfile" ? [] : mode),
        ...name,
        ...flags.filter((flag) => name[0] !== "tmpfile" || flag === "sparse" || flag === "async"),
        `size=${size}`,
        ...lock,
        ...(leased ? random.some(["lease"], 0.2) : []),
        ...odd,
      ]);
    },
  },
  tree: {
    weight: 4,
    make(context) {
      const { random } = context;
      descriptor(
        context,
        "tree",
        random.chance(0.5)
          ? [random.pick(
            ["null", "zero", "full", "urandom"].map((name) => `device=${name}`)
              .concat(["proc=self/status", "proc=uptime"]),
          )]
          : random.some(["deleted", "path"], 0.3),
      );
    },
  },
  pipe: {
    weight: 7,
    make(context) {
      const { random } = context;
      const room = random.pick([0, 0, 0, 4096, 131_072]);
      const n = random.pick([0, 1, 100, 3000, ...(room === 4096 ? [] : [9000])]);
      descriptor(context, random.chance(0.75) ? "pipe" : "fifo", [
        `n=${n}`,
        ...(room > 0 ? [`room=${room}`] : []),
        ...random.some(["nonblock", "deleted", "async"], 0.2),
        ...(n <= 100 ? random.some(["packet"], 0.2) : []),
        ...random.pick([[], [], [], ["nowriter"], ["noreader"]]),
      ]);
    },
  },
  pair: {
    weight: 5,
    make(context) {
      const { random } = context;
      const n = random.pick([0, 10, 2500]);
      const back = random.pick([0, 10, 2500]);
      descriptor(context, "pair", [
        ...random.pick([[], ["dgram"], ["seqpacket"]]),
        `n=${n}`,
        `back=${back}`,
        ...random.some(["nonblock", "shut"], 0.2),
        ...random.pick([[], [], [], ["nowriter"]]),
      ]);
    },
  },
  pty: {
    weight: 4,
    make(context) {
      const { random } = context;
      descriptor(context, "pty", [
        `n=${random.pick([0, 10, 2500])}`,
        `back=${random.pick([0, 10, 2500])}`,
        ...random.some(["nonblock"], 0.2),
        ...random.pick([[], [], [], ["nowriter"], ["noreader"]]),
      ]);
    },
  },
  server: {
    weight: 4,
    make(context) {
      const { random } = context;
      const pending = context.refusable && random.chance(0.5);
      descriptor(context, "server", [
        ...random.some(["seqpacket"], 0.3),
        ...(pending ? ["pending", "abstract"] : random.pick([[], ["abstract"], ["deleted"]])),
      ]);
    },
  },
  event: {
    weight: 4,
    make(context) {
      const { random } = context;
      const value = random.pick([0, 1, 100, 4_000_000_000]);
      descriptor(context, "event", [`value=${value}`, ...random.some(["semaphore"], 0.3)]);
    },
  },
  timerfd: {
    weight: 5,
    make(context) {
      const { random } = context;
      const clock = random.pick(["mono", "real", "boot"]);
      descriptor(context, "timerfd", [
        `clock=${clock}`,
        ...(random.chance(0.2) ? [] : [...times(random), ...random.some(["absolute"], 0.25)]),
      ]);
    },
  },
  signalfd: {
    weight: 2,
    make(context) {
      descriptor(context, "signalfd", [`mask=${context.random.between(0, 2 ** 31)}`]);
    },
  },
  epoll: {
    weight: 6,
    make(context) {
      const { random } = context;
      const targets = new Set<number>();
      for (let n = random.between(0, 4); n > 0; n--) {
        const target = chooseDescriptor(context, [...POLLABLE, ...(n === 1 ? ["epoll"] : [])]);
        if (target !== undefined) targets.add(target.id);
      }
      descriptor(context, "epoll", [
        ...[...targets].map((id) => `#${id}`),
        ...random.some(["out", "edge", "oneshot", "closed"], 0.25),
      ]);
    },
  },
  memfd: {
    weight: 4,
    make(context) {
      const { random } = context;
      descriptor(context, "memfd", random.some(["sealed"], 0.3));
      if (random.chance(0.5)) {
        const id = context.parts.length;
        context.add("map", context.task.id, [`#${id}`, "pages=3", ...random.some(["shared"], 0.7)]);
      }
    },
  },
  pidfd: {
    weight: 3,
    make(context) {
      descriptor(context, "pidfd", context.random.some(["nonblock"], 0.3));
    },
  },
  queue: {
    weight: 3,
    make(context) {
      descriptor(context, "queue", []);
    },
  },
  segment: {
    weight: 3,
    make(context) {
      descriptor(context, "segment", context.random.some(["readonly"], 0.3));
    },
  },
  watch: {
    weight: 2,
    make(context) {
      descriptor(context, "watch", []);
    },
  },
  odd: {
    weight: 2,
    make(context) {
      const { random, refusable } = context;
      if (!refusable) return;
      descriptor(context, "odd", [random.pick(ODD)]);
    },
  },
  dup: {
    weight: 4,
    make(context) {
      const of = chooseDescriptor(context);
      if (of !== undefined && of.op !== "odd") descriptor(context, "dup", [`#${of.id}`]);
    },
  },
  close: {
    weight: 4,
    make(context) {
      const of = chooseDescriptor(context);
      if (of === undefined) return;
      context.add("close", context.task.id, [`#${of.id}`]);
      context.task.descriptors.delete(of.id);
    },
  },
  get: {
    weight: 3,
    make(context) {
      const { random, tasks, task, add } = context;
      const from = random.pick(tasks);
      const of = chooseDescriptor({ ...context, task: from });
      if (of === undefined || from.descriptors === task.descriptors) return;
      if (task.descriptors.has(of.id)) return;
      add("get", task.id, [`#${from.id}`, `#${of.id}`]);
      task.descriptors.add(of.id);
    },
  },
} satisfies Readonly<Record<string, Step>>;
