/**
 * Runs workers and watches them: a case that takes too long, or gigabytes, is a defect too.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { Corpus } from "./corpus.ts";
import type { Report } from "./worker.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** No case may take longer, in milliseconds; it takes five on an idle machine. */
const SLOWEST = 60_000;
/** How much memory a worker may take, in bytes. */
const MOST_MEMORY = 1 << 30;
/** What tasks that hostile images describe may have: a lock on terabytes must not take the machine. */
const LIMITS = ["prlimit", `--data=${4 * 2 ** 30}:`, "--"];

/** What a run found. */
export interface Found {
  /** How often each outcome came. */
  readonly outcomes: Map<string, number>;
  /** How many trees were built, and ended before they ran. */
  built: number;
  /** Texts that begin with the number of the case. */
  readonly defects: string[];
}

/** A place for a run: recorded images, a canary and what the workers write. */
export class FuzzRoom implements AsyncDisposable {
  private constructor(readonly path: string, private readonly corpus: Corpus) {}

  /** Records images of subjects. */
  static async create(): Promise<FuzzRoom> {
    const path = await Deno.makeTempDir({ prefix: "stasis-fuzz-" });
    try {
      await Deno.mkdir(`${path}/canary/directory`, { recursive: true });
      await Deno.writeTextFile(`${path}/canary/file`, "nobody may touch this\n");
      await Deno.writeTextFile(`${path}/canary/directory/file`, "nor this\n");
      await Deno.writeTextFile(`${path}/progress`, "");
      return new FuzzRoom(path, await Corpus.record(path));
    } catch (error) {
      await Deno.remove(path, { recursive: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.corpus[Symbol.asyncDispose]();
    await Deno.remove(this.path, { recursive: true });
  }
}

/**
 * Tries cases.
 *
 * @param from the first one's number
 * @param to the number behind the last one's
 * @param buildEvery of how many cases that can be planned one is built
 */
export async function tryCases(
  room: FuzzRoom,
  { seed, from, to, buildEvery }: {
    readonly seed: number;
    readonly from: number;
    readonly to: number;
    readonly buildEvery: number;
  },
): Promise<Found> {
  const found: Found = { outcomes: new Map(), built: 0, defects: [] };
  for (let next = from; next < to;) {
    const stopped = await runWorker(room, [seed, next, to, buildEvery], found);
    if (stopped === undefined) break;
    found.defects.push(`${stopped.number}: ${stopped.why}`);
    next = stopped.number + 1;
  }
  return found;
}

/** Runs one worker until it is done. @returns where it had to be ended, and why */
async function runWorker(
  room: FuzzRoom,
  numbers: readonly number[],
  found: Found,
): Promise<{ readonly number: number; readonly why: string } | undefined> {
  const [command, ...before] = LIMITS as [string, ...string[]];
  const run = [Deno.execPath(), "run", "-A", "--no-check", "--quiet", "--config", CONFIG, WORKER];
  const child = new Deno.Command(command, {
    args: [...before, ...run, room.path, ...numbers.map(String)],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let why: string | undefined;
  const current = (): number =>
    Number(Deno.readTextFileSync(`${room.path}/progress`) || numbers[1]);
  let since = { number: -1, at: performance.now() };
  const watch = setInterval(() => {
    const number = current();
    if (number !== since.number) since = { number, at: performance.now() };
    if (performance.now() - since.at > SLOWEST) why = "it hangs";
    const memory = peak(child.pid);
    if (memory > MOST_MEMORY) why = `it takes ${memory} bytes of memory`;
    if (why !== undefined) kill(child);
  }, 100);
  try {
    const { success, stdout, stderr } = await child.output();
    let ended = false;
    for (const line of new TextDecoder().decode(stdout).split("\n")) {
      if (!line.startsWith("{")) continue;
      const report = JSON.parse(line) as Report;
      if (report.kind === "defect") found.defects.push(`${report.number}: ${report.what}`);
      else {
        ended = true;
        found.built += report.built;
        for (const [outcome, count] of Object.entries(report.outcomes)) {
          found.outcomes.set(outcome, (found.outcomes.get(outcome) ?? 0) + count);
        }
      }
    }
    if (ended && success) return undefined;
    why ??= `the worker died: ${new TextDecoder().decode(stderr).slice(-2000)}`;
    return { number: current(), why };
  } finally {
    clearInterval(watch);
  }
}

/** The most memory that a process ever had, in bytes. */
function peak(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It went by itself.
  }
}
