/**
 * Recipes of the mixed subject (`tests/subjects/mixed.h` has their grammar), made at random from a seed: which
 * tasks there are and what they share, which descriptors, mappings, timers, waits and settings they have, and
 * in which order they came by them. Pure: the same seed gives the same recipe.
 *
 * @module
 */

import { Random } from "./random.ts";

/** One part of a recipe: what a task makes, or what is done to it. */
export interface Part {
  /** 1 to 198, each once in a recipe. */
  readonly id: number;
  /** `file`, `proc`, `map`, ... */
  readonly op: string;
  /** The task that makes it: 0 for the root, else the id of a part that made a task. */
  readonly task: number;
  /** `append`, `size=100`, and `#7` for the part that it needs. */
  readonly words: readonly string[];
}

/** Parts in the order in which they are made. */
export type Recipe = readonly Part[];

/** A recipe as arguments of the subject, one word a part. */
export function toWords(recipe: Recipe): string[] {
  return recipe.map(({ id, op, task, words }) =>
    `${id}=${op}@${task}${words.length > 0 ? `:${words.join(",")}` : ""}`
  );
}

/**
 * The recipe of such words.
 *
 * @throws {RangeError} for a word that is no part
 */
export function fromWords(words: readonly string[]): Recipe {
  return words.map((word) => {
    const match = /^(\d+)=([a-z]+)@(\d+)(?::(.*))?$/.exec(word);
    if (match === null) throw new RangeError(`"${word}" is no part of a recipe`);
    const [, id, op, task, rest] = match;
    const more = rest === undefined || rest === "" ? [] : rest.split(",");
    return { id: Number(id), op: op!, task: Number(task), words: more };
  });
}

/** The parts that a part cannot be without: those it refers to, and the task that makes it. */
export function needs({ task, words }: Part): number[] {
  const refs = words.filter((word) => word.startsWith("#")).map((word) => Number(word.slice(1)));
  return task === 0 ? refs : [task, ...refs];
}

/** A recipe without some of its parts, and without what cannot be without those. */
export function without(recipe: Recipe, dropped: ReadonlySet<number>): Recipe {
  const gone = new Set(dropped);
  return recipe.filter((part) => {
    if (needs(part).some((id) => gone.has(id))) gone.add(part.id);
    return !gone.has(part.id);
  });
}

/** A task of the recipe under way. */
interface Task {
  readonly id: number;
  /** The task that was the first of its process. */
  readonly process: number;
  /** It cannot be told anything: it has ended, or it is a leader that must not end. */
  ended: boolean;
  /** Descriptors that it has under their own numbers, by part. */
  readonly descriptors: Set<number>;
}

/** What {@link makeRecipe} may be told. */
export interface RecipeOptions {
  /** About how many parts; 3 to 40 at random if absent. */
  readonly size?: number;
  /** Whether there may be things in it that a checkpoint is known to refuse. True if absent. */
  readonly refusable?: boolean;
}

/** The recipe of a seed. */
export function makeRecipe(seed: number, options: RecipeOptions = {}): Recipe {
  return new Maker(new Random(seed), options).make();
}

/** Every fifth subject is at work while it is saved. */
export function isBusy(seed: number): boolean {
  return seed % 5 === 0;
}

/** Epoll instances nest four deep at most, and a chain of them needs care: these are targets of one. */
const POLLABLE = ["pipe", "fifo", "pair", "server", "event", "timerfd", "signalfd"];
const CLOCKS = ["mono", "mono", "real", "boot", "tai", "cpu", "thread"];

class Maker {
  readonly #random: Random;
  readonly #size: number;
  readonly #refusable: boolean;
  readonly #parts: Part[] = [];
  readonly #tasks: Task[] = [{ id: 0, process: 0, ended: false, descriptors: new Set() }];
  /** Processes that stop in the end, or whose tasks are filtered so that nothing else may be made by them. */
  readonly #stopped = new Set<number>();

  constructor(random: Random, options: RecipeOptions) {
    this.#random = random;
    this.#size = options.size ?? random.between(3, 40);
    // Most recipes shall be accepted: what is refused is in one of eight.
    this.#refusable = (options.refusable ?? true) && random.chance(1 / 8);
  }

  make(): Recipe {
    const { ended, ...steps } = STEPS;
    const choices: Step[] = Object.values(steps);
    if (this.#random.chance(0.7)) this.#add("set", 0, ["subreaper"]);
    while (this.#parts.length < this.#size) {
      const step = this.#random.weighted(choices, ({ weight }) => weight);
      step.make(this.#context());
    }
    // Endings come last, so that most tasks have something by then.
    for (let n = this.#random.between(0, 2); n > 0; n--) ended.make(this.#context());
    return this.#parts;
  }

  #context(): Context {
    const alive = this.#tasks.filter(({ ended }) => !ended);
    return {
      random: this.#random,
      task: this.#random.pick(alive),
      tasks: alive,
      parts: this.#parts,
      refusable: this.#refusable,
      stopped: this.#stopped,
      add: (op, task, words) => this.#add(op, task, words),
      addTask: (id, process, descriptors) =>
        void this.#tasks.push({ id, process, ended: false, descriptors }),
    };
  }

  #add(op: string, task: number, words: readonly string[]): number {
    const id = this.#parts.length + 1;
    this.#parts.push({ id, op, task, words });
    return id;
  }
}

/** What a step has to work with. */
interface Context {
  readonly random: Random;
  /** A task that lives. */
  readonly task: Task;
  readonly tasks: readonly Task[];
  readonly parts: readonly Part[];
  readonly refusable: boolean;
  readonly stopped: Set<number>;
  add(op: string, task: number, words: readonly string[]): number;
  addTask(id: number, process: number, descriptors: Set<number>): void;
}

interface Step {
  readonly weight: number;
  make(context: Context): void;
}

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

/** Times of a timer: one that is far off, or one that comes again and again. */
function times(random: Random): string[] {
  if (random.chance(0.5)) return [`once=${random.pick([1_000_000, 2_000_000, 4_000_000_000])}`];
  const every = random.pick([20, 50, 200, 1_000_000]);
  return [`once=${random.pick([every, 30])}`, `every=${every}`];
}

const STEPS = {
  process: {
    weight: 14,
    make({ random, task, tasks, add, addTask, refusable }) {
      if (tasks.length > 9) return;
      const shared = random.some(["files", "fs", "sysvsem", "io"], 0.25);
      if (refusable && random.chance(0.2)) shared.push("vm", ...random.some(["sighand"], 0.5));
      if (task.process !== 0) shared.push(...random.some(["parent"], 0.1));
      const words = [
        ...shared,
        ...(refusable ? random.some(["exitsig=0", "exitsig=28"], 0.1) : []),
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
  file: {
    weight: 10,
    make(context) {
      const { random, refusable } = context;
      const mode = random.pick([["rdonly"], ["wronly"], [], []]);
      const name = random.pick([[], [], [], ["deleted"], ["tmpfile"]]);
      const flags = random.some(["append", "nonblock", "noatime", "sync", "sparse", "async"], 0.15);
      const size = random.pick([0, 5, 100, 100, 4096, 10_000]);
      const odd = refusable
        ? random.some(["flock", "posix", "ofd", "lease", "linked", "excl"], 0.1)
        : [];
      descriptor(context, "file", [
        ...(name[0] === "tmpfile" ? [] : mode),
        ...name,
        ...flags.filter((flag) => name[0] !== "tmpfile" || flag === "sparse" || flag === "async"),
        `size=${size}`,
        // A lease of readers wants nobody to write.
        ...odd.filter((word) => word !== "lease" || mode[0] === "rdonly"),
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
          ? [`device=${random.pick(["null", "zero", "full", "urandom"])}`]
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
  odd: {
    weight: 2,
    make(context) {
      const { random, refusable } = context;
      if (!refusable) return;
      descriptor(context, "odd", [random.pick(["tcp", "udp", "inotify", "pidfd", "pty"])]);
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
  map: {
    weight: 14,
    make({ random, task, add }) {
      const pages = random.pick([1, 4, 4, 16, 600]);
      // A deleted file of many pages is too large to be saved.
      const deleted = pages > 16 ? [] : ["file", "deleted"];
      const kind = random.pick([[], [], ["file"], deleted, ["noreserve"], ["down"]]);
      const shared = kind[0] === "down" ? [] : random.some(["shared"], 0.4);
      const holes = pages < 4 || kind[0] === "down" ? [] : ["hole", "none", "ro", "guard"]
        .map((name, index) => `${name}=${1 + index % (pages - 1)}`)
        .filter((word) => random.chance(0.15) && (word[0] !== "g" || kind.length === 0));
      const advice = [
        ...random.some(["dontfork", "dontdump", "nohuge", "merge", "random", "sequential"], 0.08),
        ...(shared.length === 0 && kind.length === 0 ? random.some(["wipe", "huge"], 0.1) : []),
      ];
      add("map", task.id, [
        ...kind,
        ...shared,
        `pages=${pages}`,
        ...holes,
        ...advice,
        ...random.some(["lock", "onfault", "untouched", "thin"], 0.1).slice(0, 2),
        ...(random.chance(0.15) ? [`prot=${random.pick(["r", "rx", "none", "rwx"])}`] : []),
      ]);
    },
  },
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
  setting: {
    weight: 24,
    make({ random, task, add }) {
      add("set", task.id, random.pick(SETTINGS)(random, task));
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
    make({ random, task, tasks, add, refusable, stopped }) {
      if (task.id === 0 || stopped.has(task.process)) return;
      const mates = tasks.filter(({ process }) => process === task.process);
      const alone = task.id !== task.process ||
        (refusable && mates.length > 1 && random.chance(0.3));
      const how = random.pick([[`status=${random.between(0, 9)}`], [
        `signal=${random.pick([9, 15, 6])}`,
      ]]);
      add("end", task.id, alone ? ["alone"] : how);
      for (const mate of alone ? [task] : mates) mate.ended = true;
    },
  },
} satisfies Readonly<Record<string, Step>>;

/** SIGUSR1 and SIGTERM are the dialogue's; SIGALRM, SIGVTALRM and SIGPROF belong to timers; SIGCHLD comes as it likes. */
const UNMASKED = 1 << 9 | 1 << 14 | 1 << 13 | 1 << 25 | 1 << 26 | 1 << 16;

/** What a task can set for itself: the words of a `set` part. */
const SETTINGS: readonly ((random: Random, task: Task) => string[])[] = [
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
  (random) => ["lockall", `v=${random.pick([1, 2, 3, 5, 7])}`],
  (random) => ["slice", `v=${random.between(1, 50)}`],
  () => ["keyring"],
];
