/**
 * The tools that are measured, each as it is called from the prompt.
 *
 * @module
 */

import { frozenMsOfStats } from "./criu_stats.ts";

/** One way to call one tool. */
export interface Tool {
  readonly name: "criu" | "stasis";
  /** The command that saves a tree. */
  checkpoint(pid: number, directory: string, leaveRunning: boolean): readonly string[];
  /** The command that brings it back, and does not wait for its end. */
  restore(directory: string): readonly string[];
  /**
   * How long the tree stood still, in milliseconds, by what the tool says itself.
   *
   * @param stdout what the checkpoint printed
   */
  frozenMs(directory: string, stdout: string): number;
}

/** Stasis, by the launcher that `deno task install` writes. */
export function stasisTool(launcher: string): Tool {
  return {
    name: "stasis",
    checkpoint: (pid, directory, leaveRunning) => [
      launcher,
      "checkpoint",
      String(pid),
      "-D",
      directory,
      "--json",
      "--timeout",
      "0",
      ...leaveRunning ? ["--leave-running"] : [],
    ],
    restore: (directory) => [launcher, "restore", directory, "--detach"],
    frozenMs: (_directory, stdout) => (JSON.parse(stdout) as { frozenMs: number }).frozenMs,
  };
}

/** CRIU, which wants its directory to be there. */
export function criuTool(program: string): Tool {
  return {
    name: "criu",
    checkpoint: (pid, directory, leaveRunning) => [
      program,
      "dump",
      "-t",
      String(pid),
      "-D",
      directory,
      "-o",
      "dump.log",
      ...leaveRunning ? ["-R"] : [],
    ],
    restore: (directory) => [program, "restore", "-D", directory, "-o", "restore.log", "-d"],
    frozenMs: (directory) => frozenMsOfStats(Deno.readFileSync(`${directory}/stats-dump`)),
  };
}

/** The CRIU of the PATH. */
export interface FoundCriu {
  readonly program: string;
  /** As it tells it: `4.2`. */
  readonly version: string;
}

/**
 * Looks for a CRIU that runs on this kernel.
 *
 * @returns it, or a sentence that says why there is none to measure against
 */
export async function findCriu(): Promise<FoundCriu | string> {
  const none = "there is no criu on the PATH";
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    const program = `${directory}/criu`;
    const isThere = await Deno.stat(program).then((stat) => stat.isFile, () => false);
    if (!isThere) continue;
    const check = await new Deno.Command(program, { args: ["check"], stdin: "null" }).output();
    if (!check.success) return `${program} cannot run here (see: criu check)`;
    const { stdout } = await new Deno.Command(program, { args: ["--version"] }).output();
    const version = /^Version: (\S+)/m.exec(new TextDecoder().decode(stdout))?.[1] ?? "?";
    return { program, version };
  }
  return none;
}
