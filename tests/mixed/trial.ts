/**
 * One recipe taken through everything: left alone, a checkpoint that lets it run on, one that kills it, a restore,
 * and the same once more. It must be refused and unharmed, or come back right.
 *
 * @module
 */

import {
  checkpoint,
  type CheckpointSettings,
  restore,
  type RestoredTree,
  StasisError,
} from "../../mod.ts";
import { Hierarchy, OWN_HIERARCHY } from "../harness/control_groups.ts";
import { isAlive, waitUntil } from "../harness/processes.ts";
import { diffSnapshots, type Snapshot, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { type Recipe, toWords } from "./recipe.ts";

/** Where a trial was when something went wrong. */
export type Stage =
  | "left alone"
  | "checkpoint that lets it run"
  | "refused"
  | "checkpoint that kills"
  | "restore"
  | "second checkpoint"
  | "second restore";

/** A recipe that did not come through, and what was wrong. */
export interface Failure {
  readonly kind: "failed";
  readonly stage: Stage;
  readonly what: string;
}

/** What became of a recipe. */
export type Outcome =
  | Failure
  | { readonly kind: "right" }
  | { readonly kind: "refused"; readonly problems: readonly string[] };

/** How long a step may take on a loaded machine before it hangs, in milliseconds. */
const STEP_LIMIT_MS = 60_000;

/**
 * What a task changes by its own work: signals of timers come and go, and an epoll's members get the numbers that
 * they have now in place of those that are closed.
 */
const BY_ITSELF = [/\/status\/(SigBlk|SigPnd|ShdPnd|SigQ)$/];
/** The subject looks at its slack itself, but where it is 0, as in a child of a real-time thread. */
const AFTER_RESTORE = [
  ...BY_ITSELF,
  /\/fdinfo\/\d+\/tfd$/,
  /\/timerslack_ns$/,
];

/** Something is not as it should be. */
class Wrong extends Error {
  constructor(readonly stage: Stage, what: string) {
    super(what);
  }
}

/** Tries a recipe. */
export async function tryRecipe(recipe: Recipe, { busy = false } = {}): Promise<Outcome> {
  await using groups = new AsyncDisposableStack();
  const images = await Deno.makeTempDir({ prefix: "stasis-images-" });
  const trees: RestoredTree[] = [];
  let subject: Subject | undefined;
  try {
    const args = [...toWords(recipe), ...(busy ? ["busy"] : [])];
    const env = {
      ...makeGroups("MIXED_CGROUPS", OWN_HIERARCHY, groups),
      ...makeGroups("MIXED_CGROUPS2", "", groups),
    };
    const options = { args, env, timeoutMs: STEP_LIMIT_MS };
    subject = await at("left alone", Subject.start("mixed", options));
    return await new Trial(subject, busy, images, trees).run();
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { kind: "failed", stage: error.stage, what: error.message };
  } finally {
    await subject?.kill();
    for (const tree of trees) await tree.wait();
    await subject?.[Symbol.asyncDispose]();
    await Deno.remove(images, { recursive: true });
  }
}

/** How many control groups of each hierarchy there are to be entered. */
const GROUPS = 3;

/** Makes control groups, where they can be made. @returns the variable that tells the subject of them */
function makeGroups(
  variable: string,
  name: string,
  groups: AsyncDisposableStack,
): Record<string, string> {
  const hierarchy = Hierarchy.find(name);
  if (typeof hierarchy === "string") return {};
  groups.use(hierarchy);
  const home = hierarchy.make();
  for (let index = 0; index < GROUPS; index++) hierarchy.make(`${home.path.slice(1)}/${index}`);
  return { [variable]: home.directory };
}

/**
 * What two failures have in common if they are the same: the stage and the first thing said, without numbers.
 */
export function signatureOf({ stage, what }: Failure): string {
  const said = what.split("\n")[0]!.replace(/0x[0-9a-f]+|[0-9a-f]{8,}|\d+/g, "N");
  return `${stage}: ${said}`;
}

class Trial {
  #rounds = 0;

  constructor(
    readonly subject: Subject,
    readonly busy: boolean,
    readonly images: string,
    readonly trees: RestoredTree[],
  ) {}

  async run(): Promise<Outcome> {
    await this.#round("left alone");
    const refused = await this.#letRun();
    if (refused !== undefined) {
      await this.#verdict("refused");
      return { kind: "refused", problems: refused };
    }
    const late = await this.#thereAndBack(`${this.images}/2`, "checkpoint that kills", "restore") ??
      await this.#thereAndBack(`${this.images}/3`, "second checkpoint", "second restore");
    await this.#verdict(late === undefined ? "second restore" : "refused");
    return late === undefined ? { kind: "right" } : { kind: "refused", problems: late };
  }

  /** @returns why it was refused, or nothing */
  async #letRun(): Promise<readonly string[] | undefined> {
    const stage = "checkpoint that lets it run";
    const before = await this.#settled();
    let refused: readonly string[] | undefined;
    try {
      const settings = { directory: `${this.images}/first`, leaveRunning: true };
      await limited(stage, (signal) => this.#checkpoint({ ...settings, signal }));
    } catch (error) {
      refused = reasons(stage, error);
    }
    this.#compare(refused === undefined ? stage : "refused", before, { ignore: BY_ITSELF });
    await this.#round(refused === undefined ? stage : "refused");
    return refused;
  }

  /** @returns why it was refused, or nothing */
  async #thereAndBack(
    directory: string,
    going: Stage,
    coming: Stage,
  ): Promise<readonly string[] | undefined> {
    const before = await this.#settled();
    try {
      await limited(going, (signal) => this.#checkpoint({ directory, signal }));
    } catch (error) {
      // One that is at work has now and then something for a moment that is refused.
      if (!this.busy && !isOfOthers(error)) throw wrong(going, error);
      const refused = reasons(going, error);
      this.#compare("refused", before, { ignore: BY_ITSELF });
      return refused;
    }
    if (isAlive(this.subject.pid)) {
      throw new Wrong(going, "it is alive after a checkpoint that kills");
    }
    await this.trees.pop()?.wait();
    try {
      this.trees.push(await limited(coming, (signal) => restore(directory, { signal })));
    } catch (error) {
      throw wrong(coming, error);
    }
    // One that was stopped stops again a moment after it was let go.
    await this.#settled();
    this.#compare(coming, before, { restored: true, ignore: AFTER_RESTORE });
    await this.#round(coming);
    return undefined;
  }

  #checkpoint(settings: CheckpointSettings) {
    // How long a tree stands still on a loaded machine must not decide.
    return checkpoint(this.subject.pid, { ...settings, options: { timeout: STEP_LIMIT_MS } });
  }

  /** One that goes through its things all the time never stands still. */
  async #settled(): Promise<Snapshot | undefined> {
    if (this.busy) return undefined;
    let now = takeSnapshot(this.subject.pid);
    for (let tries = 0; tries < 50; tries++) {
      const before = now;
      await new Promise((resolve) => setTimeout(resolve, 10));
      now = takeSnapshot(this.subject.pid);
      if (diffSnapshots(before, now, { ignore: BY_ITSELF }).length === 0) break;
    }
    return now;
  }

  #compare(
    stage: Stage,
    before: Snapshot | undefined,
    options: { readonly restored?: boolean; readonly ignore: readonly RegExp[] },
  ): void {
    if (before === undefined) return;
    const now = takeSnapshot(this.subject.pid);
    const differences = diffSnapshots(inOneWay(before), inOneWay(now), options);
    if (differences.length > 0) throw new Wrong(stage, differences.join("\n"));
  }

  /** Has the subject go through everything once, and well. */
  async #round(stage: Stage): Promise<void> {
    const { subject } = this;
    if (this.busy) this.#rounds = count(subject) + 1;
    else Deno.kill(subject.pid, "SIGUSR1");
    const wanted = ++this.#rounds;
    await at(
      stage,
      waitUntil(
        () => count(subject) >= wanted || !subject.alive,
        () => `round ${wanted} of the subject: ${subject.output()}`,
        STEP_LIMIT_MS,
      ),
    );
    this.#assertRight(stage);
  }

  async #verdict(stage: Stage): Promise<void> {
    await at(stage, this.subject.verdict(STEP_LIMIT_MS));
    this.#assertRight(stage);
  }

  #assertRight(stage: Stage): void {
    const output = this.subject.output();
    const failed = output.split("\n").filter((line) => /^(FAIL part|error)/.test(line));
    if (failed.length > 0) throw new Wrong(stage, failed.join("\n"));
    const finished = /^verdict/m.test(output);
    if (!finished && !this.subject.alive) {
      throw new Wrong(stage, `the subject died\n${output}${this.subject.errors()}`);
    }
  }
}

/**
 * Whether a tree is refused only because it is to end: a child that was left to nobody in the tree is in a session or
 * group of it.
 */
function isOfOthers(error: unknown): boolean {
  return error instanceof StasisError && error.problems.length > 0 &&
    error.problems.every(({ what }) => what.includes("outside of the tree in it"));
}

/** A file of the part `file` that was deleted, or its other name. */
const LINKED = /\/(?:file(?<file>\d+) \(deleted\)|other(?<other>\d+))$/;

/**
 * What a restore tells in other words: a timer on the CPU clock of the thread that made it names that thread
 * afterwards; memory that cannot be written now, but was once, counts no more (`ac`); the kernel looks for guards only
 * where there are some (`gu`); and a file that was deleted and has another name is opened by that.
 */
function inOneWay(snapshot: Snapshot): Snapshot {
  const say = (path: string, text: string) => {
    if (path.endsWith("/ClockID") && text.startsWith("-")) return "a CPU clock";
    if (/\/fd\/\d+$/.test(path)) return text.replace(LINKED, "/$<file>$<other>");
    return /\/map\/[^/]+\/flags$/.test(path) ? text.replace(/ (ac|gu)\b/g, "") : text;
  };
  return new Map([...snapshot].map(([path, text]) => [path, say(path, text)]));
}

/** How many rounds a subject has made. */
function count(subject: Subject): number {
  return [...subject.output().matchAll(/^round \d+ /gm)].length;
}

/** Why a checkpoint was refused; any other failure is wrong. */
function reasons(stage: Stage, error: unknown): readonly string[] {
  if (!(error instanceof StasisError) || error.code !== "unsupported") throw wrong(stage, error);
  if (error.problems.length > 0) return error.problems.map(({ what }) => what);
  throw new Wrong(stage, `refused without a reason: ${error.message}`);
}

async function at<T>(stage: Stage, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw wrong(stage, error);
  }
}

function wrong(stage: Stage, error: unknown): Wrong {
  if (error instanceof Wrong) return error;
  if (!(error instanceof StasisError)) return new Wrong(stage, String(error));
  const problems = error.problems.map(({ pid, what }) => `${pid}: ${what}`);
  return new Wrong(stage, [`${error.code}: ${error.message}`, ...problems].join("\n"));
}

/** What a step gives, which is cancelled and given up when it takes too long. */
async function limited<T>(stage: Stage, step: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const cancel = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      cancel.abort();
      reject(new Wrong(stage, "it hangs"));
    }, STEP_LIMIT_MS);
  });
  try {
    return await Promise.race([step(cancel.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}
