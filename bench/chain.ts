/**
 * Checkpoints one after the other: whole ones, those that leave to the one before what has not changed, found by
 * comparing or by tracking, what tracking costs the program, and what a restore of ten of them takes. By the library in
 * one process, as whoever makes them again and again does.
 *
 * @module
 */
import { checkpoint, type CheckpointSettings, MemoryTracking, restore } from "../mod.ts";
import { waitUntil } from "../tests/harness/processes.ts";
import { Subject } from "../tests/harness/subject.ts";
import { formatTime, markdownTable, median } from "./comparison.ts";

/** What was measured of one way to do it. */
export interface ChainRow {
  readonly title: string;
  /** All of it, in milliseconds. */
  readonly totalMs: number;
  /** For how long the program stood still, in milliseconds; absent of a restore. */
  readonly frozenMs?: number;
  /** The images, in bytes; absent of a restore. */
  readonly bytes?: number;
  /** The processor time that the program takes to write to a page after one, in microseconds; absent of a restore. */
  readonly writeUs?: number;
}

/** What is measured. */
export interface ChainBench {
  /** Where images go. */
  readonly home: string;
  readonly mib: number;
  readonly rounds: number;
  readonly progress: (text: string) => void;
}

const PAGES_OF_MIB = 256;
const CHAIN = 10;
const HURRY = { timeout: 0 } as const;

/** Measures them. */
export async function measureChain(bench: ChainBench): Promise<ChainRow[]> {
  const pages = bench.mib * PAGES_OF_MIB;
  const args = [String(pages), String(writtenPages(bench)), "alone"];
  await using subject = await Subject.start("pages_changing", { args, timeoutMs: 60_000 });
  return await new Chain(bench, subject).measure();
}

/** How many pages the program changes in each step. */
function writtenPages({ mib }: ChainBench): number {
  return Math.ceil(mib * PAGES_OF_MIB / 100);
}

/** How long the first thread of a process has run, in microseconds (Documentation/scheduler/sched-stats.rst). */
function processorTime(pid: number): number {
  return Number(Deno.readTextFileSync(`/proc/${pid}/schedstat`).split(" ")[0]) / 1000;
}

class Chain {
  #steps = 0;
  #made = 0;
  #last: string | undefined;

  constructor(private readonly bench: ChainBench, private readonly subject: Subject) {}

  async measure(): Promise<ChainRow[]> {
    const { rounds } = this.bench;
    // What runs for the first time takes longer.
    await this.#save();
    const whole = await this.#row("whole", rounds, {});
    const wholeOne = this.#last as string;
    const compared = await this.#row("compared with the one before", rounds, {}, true);
    using tracking = new MemoryTracking();
    await this.#save({ tracking });
    const tracked = await this.#row("tracked since the one before", CHAIN - 1, { tracking }, true);
    const lastOne = this.#last as string;
    const rows = [whole, compared, tracked];
    rows.push(await this.#restoreRow("restore of a whole one", wholeOne));
    rows.push(await this.#restoreRow(`restore of a chain of ${CHAIN}`, lastOne));
    return rows;
  }

  async #row(
    title: string,
    rounds: number,
    settings: Partial<CheckpointSettings>,
    hasParent = false,
  ): Promise<ChainRow> {
    const results = [];
    const writes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      this.bench.progress(title);
      writes.push(await this.#step());
      results.push(await this.#save({ ...settings, parent: hasParent ? this.#last : undefined }));
    }
    return {
      title,
      totalMs: median(results.map(({ totalMs }) => totalMs)),
      frozenMs: median(results.map(({ frozenMs }) => frozenMs)),
      bytes: median(results.map(({ bytes }) => Number(bytes))),
      writeUs: median(writes),
    };
  }

  async #save(settings: Partial<CheckpointSettings> = {}) {
    const directory = `${this.bench.home}/chain-${this.#made++}`;
    const result = await checkpoint(this.subject.pid, {
      ...settings,
      directory,
      leaveRunning: true,
      options: HURRY,
    });
    this.#last = directory;
    return result;
  }

  /** Has the program change one hundredth of its pages, and write as many with what they hold. @returns microseconds a page */
  async #step(): Promise<number> {
    const before = processorTime(this.subject.pid);
    Deno.kill(this.subject.pid, "SIGUSR1");
    const wanted = String(++this.#steps);
    await waitUntil(
      () => this.subject.facts.get("step") === wanted,
      () => `step ${wanted} of the program`,
      60_000,
    );
    return (processorTime(this.subject.pid) - before) / (2 * writtenPages(this.bench));
  }

  /** Ends the program for it, and what is restored. */
  async #restoreRow(title: string, directory: string): Promise<ChainRow> {
    const times: number[] = [];
    for (let round = 0; round < this.bench.rounds; round++) {
      this.bench.progress(title);
      await this.subject.kill();
      await this.subject.waitGone();
      const begin = performance.now();
      const tree = await restore(directory);
      times.push(performance.now() - begin);
      tree.kill(9);
      await tree.wait();
    }
    return { title, totalMs: median(times) };
  }
}

/** The table, with how many times as much each is as the first, and the second restore as the first one. */
export function chainLines(rows: readonly ChainRow[]): string[] {
  const ratio = (value: number | undefined, base: number | undefined) =>
    value === undefined || base === undefined || value === base
      ? ""
      : ` (${(value / base).toPrecision(2)})`;
  return markdownTable(
    ["checkpoint", "takes", "stands still", "MiB", "a page written after it"],
    rows.map(({ title, totalMs, frozenMs, bytes, writeUs }) => {
      const base = rows.find((row) => (row.bytes === undefined) === (bytes === undefined));
      return [
        title,
        formatTime(totalMs) + ratio(totalMs, base?.totalMs),
        frozenMs === undefined ? "" : formatTime(frozenMs) + ratio(frozenMs, base?.frozenMs),
        bytes === undefined ? "" : (bytes / 2 ** 20).toFixed(1) + ratio(bytes, base?.bytes),
        writeUs === undefined ? "" : `${writeUs.toFixed(2)} us${costOf(writeUs, base?.writeUs)}`,
      ];
    }),
  );
}

/** What writing takes more of the time of a program that writes to 1,000 pages a second. */
function costOf(writeUs: number, base: number | undefined): string {
  if (base === undefined || writeUs === base) return "";
  const percent = (writeUs - base) * 1000 / 1e6 * 100;
  return ` (${percent < 0 ? "" : "+"}${percent.toFixed(2)} % at 1,000 a second)`;
}
