/**
 * A job that is killed or stopped again and again, each time at another moment, and started again by the same command
 * line each time, until it has come to its end.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { readNewFiles } from "../../jobs/records.ts";
import { isAlive, processesWithEnv, waitUntil } from "../harness/processes.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));
const STASIS = [Deno.execPath(), "run", "-A", "--no-check", "--config", CONFIG, MAIN];

/** Carries a value of its own into every process of a job, and of the command that saves it. */
const MARK = "STASIS_TEST_JOB";

/** A directory for a job, which goes with its scope, and with it whatever is left of the job. */
export class JobRoom implements Disposable {
  /** Where the job may write. */
  readonly path: string = Deno.makeTempDirSync({ prefix: "stasis-job-" });
  readonly #mark = crypto.randomUUID();
  /** How many logs there are: that of a start is cut back by the next one, where it is the same file. */
  #logs = 0;

  /** The store. */
  get store(): string {
    return `${this.path}/store`;
  }

  /** Starts `stasis WORDS`. What it says, and the job, is in the log. */
  start(words: readonly string[]): Deno.ChildProcess {
    return this.#spawn('log=$1; shift; exec "$@" >>"$log" 2>&1', [
      this.#logOf(++this.#logs),
      ...STASIS,
      ...words,
    ]);
  }

  /** Runs a script of a shell in which `stasis` is the command. */
  shell(script: string): Deno.ChildProcess {
    const command = STASIS.map((word) => `'${word}'`).join(" ");
    return this.#spawn(script.replaceAll("stasis", command), []);
  }

  #spawn(script: string, words: readonly string[]): Deno.ChildProcess {
    return new Deno.Command("/bin/sh", {
      args: ["-c", script, "sh", ...words],
      cwd: this.path,
      env: { [MARK]: this.#mark, NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  #logOf(start: number): string {
    return `${this.path}/log.${start}`;
  }

  #read(start: number): string {
    try {
      return Deno.readTextFileSync(this.#logOf(start));
    } catch {
      return ""; // It has not got so far.
    }
  }

  /** What was said so far. */
  get log(): string {
    return Array.from({ length: this.#logs }, (_, index) => this.#read(index + 1)).join("");
  }

  /** What was said since the last start. */
  get lastLog(): string {
    return this.#read(this.#logs);
  }

  /** Whether the job has been seen to write a file that it did not have open at a checkpoint. */
  hasSeen(path: string, store = this.store): boolean {
    try {
      const { lists } = readNewFiles(Deno.readTextFileSync(`${store}/new.json`), "new.json");
      return lists.some(({ files }) => files.some((one) => one.path === path && one.seen));
    } catch {
      return false; // There is none yet.
    }
  }

  /** All processes of the job, and the command. */
  get pids(): number[] {
    return processesWithEnv(MARK, this.#mark);
  }

  /** Kills all of it at once, the command first, and waits until nobody is left. */
  async killAll(first?: Deno.ChildProcess): Promise<void> {
    if (first !== undefined) killIfThere(first, "SIGKILL");
    await first?.status;
    let left: number[];
    do {
      left = this.pids;
      for (const pid of left) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch {
          // It has gone by itself.
        }
      }
      await waitUntil(() => !left.some(isAlive), "killed processes to end", 30_000);
    } while (left.length > 0);
  }

  [Symbol.dispose](): void {
    for (const pid of this.pids) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has gone by itself.
      }
    }
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** One that has ended in this moment has not been interrupted. */
function killIfThere(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // Of a child that has ended.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** How a job is interrupted. */
export interface Interruptions {
  /** The program and its words. */
  readonly command: readonly string[];
  /** How often, at the most. */
  readonly rounds: number;
  /** SIGKILL is for everything at once, SIGTERM for the command alone. */
  readonly signal: "SIGKILL" | "SIGTERM";
  /** The moments, in milliseconds after the start, or, every second time, after it runs: the next one each time. */
  readonly moment: () => number;
  /** A file that it writes: who is killed before anybody has seen that writes it once more. */
  readonly writes?: string;
  /** Options of `stasis run`. */
  readonly options?: readonly string[];
}

/**
 * Runs a job to its end, with interruptions.
 *
 * @returns how many there were
 * @throws Error where a start ends otherwise than it should
 */
export async function runInterrupted(
  room: JobRoom,
  { command, rounds, signal, moment, writes, options = [] }: Interruptions,
): Promise<number> {
  const often = ["--every", "200ms", "--grace", "60s"];
  const words = ["run", "-v", ...often, ...options, "-D", room.store, "--"];
  let isSeen = writes === undefined;
  for (let round = 0; round < rounds; round++) {
    const child = room.start([...words, ...command]);
    let begun = performance.now();
    let hasEnded = false;
    void child.status.then(() => hasEnded = true);
    const isReady = () => isSeen ||= hasEnded || room.hasSeen(writes as string);
    await waitUntil(isReady, () => `the job to be seen:\n${room.log}`, 60_000);
    // On a busy machine all would come before the job runs.
    if (round % 2 === 0) {
      const runs = () => hasEnded || /the job runs as|taken up from/.test(room.lastLog);
      await waitUntil(runs, () => `the job to run:\n${room.log}`, 60_000);
      begun = performance.now();
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ended = await Promise.race([
      child.status,
      new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), begun + moment() - performance.now());
      }),
    ]);
    clearTimeout(timer);
    if (ended === undefined && signal === "SIGKILL") {
      await room.killAll(child);
      continue;
    }
    if (ended === undefined) killIfThere(child, "SIGTERM");
    const { code } = ended ?? await child.status;
    if (code === 0) return round;
    // One that came before it listened to signals has ended it as it ends any program.
    if (ended !== undefined || code !== 75 && code !== 143) {
      throw new Error(`round ${round} ended with ${code}:\n${room.log}`);
    }
  }
  const { code } = await room.start([...words, ...command]).status;
  if (code !== 0) throw new Error(`the last start ended with ${code}:\n${room.log}`);
  return rounds;
}

/** Compares the steps that were written with those that were to be. @throws Error that says where they differ */
export function expectSteps(found: string, count: number, room: JobRoom): void {
  const [is, wanted] = [found, steps(count)].map((text) => text.split("\n")) as [
    string[],
    string[],
  ];
  const at = wanted.findIndex((line, index) => line !== is[index]);
  if (at < 0 && is.length === wanted.length) return;
  const around = is.slice(Math.max(0, at - 3), at + 4).join(", ");
  throw new Error(`after ${at} steps: ... ${around} ..., ${is.length} lines:\n${room.log}`);
}

/** The lines of so many steps. */
export function steps(count: number): string {
  return Array.from({ length: count }, (_, step) => `${step}\n`).join("");
}
