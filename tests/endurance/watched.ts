/**
 * `deno task test:watch [CHECKPOINTS]`: a busy Java virtual machine under `stasis watch --every 1s`, as root, for 2,000
 * checkpoints, which take more than half an hour.
 *
 * Nothing may grow: neither what the machine holds, nor what the command does, nor the store, nor may a process be left;
 * it may stand still for no longer than {@link LONGEST_PAUSE}; and the last checkpoint must bring it back. Prints a
 * table; the exit status is 1 where something is not so.
 *
 * @module
 */
import { SAVED_STATUS } from "../../cli/help.ts";
import { processTree, waitUntil } from "../harness/processes.ts";
import { type RunningCommand, startStasis, stasis } from "../harness/stasis_command.ts";
import type { Subject } from "../harness/subject.ts";
import { grown, heads, type Holdings, holdings, line, TARGETS_OWN, TOOLS_OWN } from "./holdings.ts";
import { hasJava, startJvm } from "./jvm.ts";

/** How long the machine may stand still for one checkpoint, in milliseconds. */
const LONGEST_PAUSE = 1000;
/** How many checkpoints are kept, at least. */
const KEEP = 3;
/** How many there are at the most, for one needs those before it (`jobs/chain.ts`). */
const MOST_KEPT = 20;

/** What `--json` tells of a checkpoint. Times in milliseconds. */
interface Event {
  readonly event: string;
  readonly checkpoint?: number;
  readonly bytes?: number;
  readonly frozenMs?: number;
  readonly totalMs?: number;
}

/** What the command has told so far. */
function told(watch: RunningCommand): Event[] {
  const lines = watch.stderr().split("\n").slice(0, -1);
  return lines.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text));
}

function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

/** @param part of the numbers, from 0 to 1, that are less than it */
function quantile(numbers: readonly number[], part: number): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * part)] ?? 0;
}

/** The numbers of the checkpoints that are there. */
function kept(store: string): string[] {
  return Array.from(Deno.readDirSync(store), ({ name }) => name).filter((name) =>
    /^\d+$/.test(name)
  );
}

/** What is told to end early ends as it always does: the watching and the machine end, too. */
function endedEarly(): AbortSignal {
  const ended = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => ended.abort());
  }
  return ended.signal;
}

/** Has it saved so often, and looks at all of them meanwhile. @returns what is wrong */
async function watchFor(
  checkpoints: number,
  jvm: Subject,
  watch: RunningCommand,
  store: string,
): Promise<string[]> {
  const toEnd = endedEarly();
  const every = Math.max(1, Math.floor(checkpoints / 10));
  let early: { target: Holdings; tool: Holdings } | undefined;
  let late = { target: holdings(jvm.pid), tool: holdings(watch.pid) };
  console.log(`the machine's and the tool's\n${heads()}`);
  for (let round = every; round <= checkpoints; round += every) {
    const saved = () => told(watch).filter(({ event }) => event === "saved").length;
    const isDone = () => toEnd.aborted || watch.ended || saved() >= round;
    const limit = (every + 60) * 10_000;
    await waitUntil(isDone, () => `${round} checkpoints:\n${watch.stderr()}`, limit);
    if (toEnd.aborted) return ["it was told to end early"];
    if (watch.ended) return [`the watching ended:\n${watch.stderr()}`];
    late = { target: holdings(jvm.pid), tool: holdings(watch.pid) };
    early ??= late;
    console.log(line(round, late.target, late.tool));
  }
  if (early === undefined) return [];
  const most = Math.max(...told(watch).map(({ frozenMs = 0 }) => frozenMs));
  const unwanted = told(watch).filter(({ event }) => event === "not-saved" || event === "failed");
  const there = kept(store).length;
  return [
    ...grown("the machine", early.target, late.target, TARGETS_OWN),
    ...grown("the tool", early.tool, late.tool, TOOLS_OWN),
    ...most > LONGEST_PAUSE ? [`it stood still for ${most.toFixed()} ms`] : [],
    ...unwanted.length > 0 ? [`${unwanted.length} failed: ${JSON.stringify(unwanted[0])}`] : [],
    ...there > MOST_KEPT ? [`${there} checkpoints are there`] : [],
  ];
}

/** What the phases of the checkpoints took that stood still for long, while they are there. */
class LongPauses {
  readonly #timer: ReturnType<typeof setInterval>;
  #seen = 0;

  constructor(private readonly watch: RunningCommand, private readonly store: string) {
    this.#timer = setInterval(() => void this.#look(), 500);
  }

  async #look(): Promise<void> {
    const saved = told(this.watch).filter(({ event }) => event === "saved");
    const news = saved.slice(this.#seen);
    this.#seen = saved.length;
    for (const { checkpoint, frozenMs = 0 } of news) {
      if (frozenMs < LONGEST_PAUSE / 4) continue;
      const { status, stdout, stderr } = await stasis([
        "inspect",
        `${this.store}/${checkpoint}`,
        "--json",
      ]);
      const phases = status === 0 ? JSON.stringify(JSON.parse(stdout).phases) : stderr;
      console.log(`checkpoint ${checkpoint} stood still for ${frozenMs.toFixed()} ms: ${phases}`);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function report(watch: RunningCommand): void {
  const saved = told(watch).filter(({ event }) => event === "saved");
  const [first] = saved;
  const of = (key: "bytes" | "frozenMs" | "totalMs") => saved.map((one) => one[key] ?? 0);
  const mib = (bytes: number) => (bytes / (1 << 20)).toFixed(1);
  const ms = (key: "frozenMs" | "totalMs", part: number) => quantile(of(key), part).toFixed();
  const longest = of("frozenMs").sort((a, b) => b - a).slice(0, 5).map((one) => one.toFixed());
  console.log(
    `${saved.length} checkpoints: stood still for ${ms("frozenMs", 0.5)} ms, ` +
      `one in a hundred for ${ms("frozenMs", 0.99)} or more, the longest ${longest.join(", ")}; ` +
      `each took ${ms("totalMs", 0.5)} ms; ` +
      `the first had ${mib(first?.bytes ?? 0)} MiB, the others ${mib(median(of("bytes")))}`,
  );
}

if (import.meta.main) {
  const checkpoints = Number(Deno.args[0] ?? 2_000);
  if (!await hasJava()) {
    console.log("SKIPPED: there is no java on the PATH");
    Deno.exit();
  }
  const room = Deno.makeTempDirSync({ prefix: "stasis-watched-" });
  const store = `${room}/store`;
  const wrong: string[] = [];
  try {
    await using jvm = await startJvm();
    const tree = processTree(jvm.pid).length;
    const words = ["--json", "--every", "1s", "--keep", String(KEEP), "-D", store];
    const watch = startStasis(["watch", String(jvm.pid), ...words]);
    using _ = new LongPauses(watch, store);
    wrong.push(...await watchFor(checkpoints, jvm, watch, store));
    report(watch);
    watch.kill("SIGTERM");
    const { status, stderr } = await watch.outcome;
    if (status !== SAVED_STATUS) wrong.push(`the watching ended with ${status}:\n${stderr}`);
    if (processTree(jvm.pid).length !== tree) wrong.push("the machine has got children");
    await jvm.kill();
    const restored = await stasis(["restore", store, "--rollback-files", "--detach"]);
    if (restored.status !== 0) wrong.push(`the last one does not come back: ${restored.stderr}`);
    else await jvm.expectPass(60_000);
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
  for (const what of wrong) console.log(`FAILED ${what}`);
  console.log(wrong.length === 0 ? "nothing grew" : `${wrong.length} things are wrong`);
  if (wrong.length > 0) Deno.exitCode = 1;
}
