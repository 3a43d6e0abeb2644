/**
 * Runs a command as from the prompt, and tells what it took.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { buildProgram } from "../tests/harness/build.ts";

const SOURCE = fileURLToPath(new URL("timed.c", import.meta.url));

/** What a run of a command took, and what it said. */
export interface TimedRun {
  /** From before its start until after its end, in milliseconds. */
  readonly wallMs: number;
  /** Processor time of it and of those of its children that it waited for, in milliseconds. */
  readonly cpuMs: number;
  /** The largest that it, or one of those, was in memory, in bytes. */
  readonly peakBytes: number;
  readonly stdout: string;
}

/**
 * Runs a command.
 *
 * @param scratch a directory for files of a moment
 * @throws Error where it fails, with what it said
 */
export async function runTimed(command: readonly string[], scratch: string): Promise<TimedRun> {
  const report = `${scratch}/timed`;
  const { code, stdout, stderr } = await new Deno.Command(await buildProgram(SOURCE), {
    args: [report, ...command],
    cwd: scratch,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code !== 0) throw new Error(`${command.join(" ")} cannot be run: status ${code}`);
  const [wall, user, system, kib, status] = (await Deno.readTextFile(report)).split(" ").map(
    Number,
  );
  if (status !== 0) {
    throw new Error(`${command.join(" ")} failed with status ${status}:\n${text(stderr)}`);
  }
  return {
    wallMs: wall! / 1e6,
    cpuMs: (user! + system!) / 1e3,
    peakBytes: kib! * 1024,
    stdout: text(stdout),
  };
}
