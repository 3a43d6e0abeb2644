/**
 * `deno task bench`: measures, in turns with CRIU where one that runs is on the PATH, and prints the table of the
 * README; without CRIU, against the floors. `deno task bench growth`: whether time and memory grow with the size and no
 * faster. `deno task bench chain`: checkpoints one after the other, of one program. {@link USAGE} has all of it.
 *
 * @module
 */

import { install } from "../scripts/install.ts";
import { chainLines, measureChain } from "./chain.ts";
import { type BenchOptions, parseCommandLine, USAGE } from "./command_line.ts";
import { formatTime, markdown, markdownTable, spreadNotes } from "./comparison.ts";
import { measureFloors } from "./floors.ts";
import { GrowthBench, KINDS } from "./growth.ts";
import { growthHead, growthNotes, growthRows } from "./growth_report.ts";
import { machineNotes, readMachineState } from "./machine.ts";
import { enterNamespaces } from "./namespaces.ts";
import { adoptOrphans } from "./round.ts";
import { measureRows } from "./table.ts";
import { criuTool, findCriu, stasisTool, type Tool } from "./tools.ts";

/** How much memory the floors are measured with: as much as the workloads have. */
const FLOOR_MIB = 1024, SMALLEST_FLOOR_MIB = 1;
/** As much has to be there for anything to be tracked. */
const SMALLEST_CHAIN_MIB = 2;

/** What a run prints. */
interface Report {
  readonly lines: readonly string[];
  readonly json: Record<string, unknown>;
}

function progress(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

async function runTable(options: BenchOptions, stasis: Tool, home: string): Promise<Report> {
  const found = options.alone ? "CRIU is left out" : await findCriu();
  const criu = typeof found === "string" ? undefined : criuTool(found.program);
  const { names, rounds, smallest } = options;
  const rows = await measureRows(names, { stasis, criu, rounds, smallest, home, progress });
  const head = typeof found === "string"
    ? [`Stasis alone, medians of ${rounds}: ${found}.`]
    : [`Stasis / CRIU ${found.version} = how many times as long, medians of ${rounds} in turns.`];
  const lines = [...head, "", ...markdown(rows), "", ...spreadNotes(rows)];
  const json = { rounds, criu: typeof found === "string" ? null : found.version, rows };
  if (criu !== undefined) return { lines, json };
  const floors = await runFloors(options, home);
  return { lines: [...lines, "", ...floors.lines], json: { ...json, ...floors.json } };
}

async function runFloors({ smallest, rounds }: BenchOptions, home: string): Promise<Report> {
  progress("floors");
  const floors = await measureFloors(home, smallest ? SMALLEST_FLOOR_MIB : FLOOR_MIB, rounds);
  const lines = markdownTable(
    ["the kernel by itself", "takes"],
    floors.map(({ title, median }) => [title, formatTime(median)]),
  );
  return { lines: [...lines, ""], json: { floors } };
}

async function runGrowth(options: BenchOptions, tool: Tool, home: string): Promise<Report> {
  const { rounds: attempts, smallest: few, json } = options;
  const bench = new GrowthBench({ tool, attempts, few, home, progress });
  const print = (lines: readonly string[]) => {
    progress("");
    if (!json) { for (const line of lines) console.log(line); }
  };
  print(growthHead());
  const results = [];
  for (const kind of KINDS) {
    if (!options.names.includes(kind.name)) continue;
    const result = await bench.measure(kind);
    print(growthRows(result));
    // Told at once, too: the whole may take half an hour.
    for (const note of growthNotes(result)) console.error(note);
    results.push(result);
  }
  return { lines: ["", ...results.flatMap(growthNotes)], json: { growth: results } };
}

/** Measures what is asked for. @returns the exit status */
async function main(): Promise<number> {
  let options: BenchOptions | undefined;
  try {
    options = parseCommandLine(Deno.args);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`bench: ${error.message}\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    console.log(USAGE);
    return 0;
  }
  if (Deno.uid() !== 0) {
    console.error("bench: this needs root");
    return 5;
  }
  const status = await enterNamespaces();
  if (status !== undefined) return status;
  adoptOrphans();
  const home = await Deno.makeTempDir({ dir: options.dir, prefix: "stasis-bench-" });
  try {
    await install({ prefix: home, uninstall: false, force: false, types: false });
    const run = {
      table: runTable,
      growth: runGrowth,
      floors: runBareFloors,
      chain: runChain,
    }[options.what];
    const before = readMachineState();
    const report = await run(options, stasisTool(`${home}/bin/stasis`), home);
    const after = readMachineState();
    progress("");
    const notes = machineNotes(before, after, navigator.hardwareConcurrency);
    const text = options.json
      ? JSON.stringify({ ...report.json, machine: { before, after } }, null, 2)
      : [...report.lines, ...notes].join("\n");
    console.log(text);
    return 0;
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function runChain(
  { smallest, rounds, mib = smallest ? SMALLEST_CHAIN_MIB : FLOOR_MIB }: BenchOptions,
  _tool: Tool,
  home: string,
): Promise<Report> {
  const rows = await measureChain({ home, mib, rounds, progress });
  const head =
    `${mib} MiB of 4 KiB pages, of which 1 % are written to each time; medians of ${rounds}.`;
  return { lines: [head, "", ...chainLines(rows), ""], json: { chain: rows } };
}

function runBareFloors(options: BenchOptions, _tool: Tool, home: string): Promise<Report> {
  return runFloors(options, home);
}

if (import.meta.main) Deno.exit(await main());
