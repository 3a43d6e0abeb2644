/**
 * One round of a tool: it saves a tree that runs on, saves it and ends it, brings it back, and the tree itself says
 * whether it is what it was.
 *
 * @module
 */

import { prctl, wait4 } from "../core/linux/libc_ffi.ts";
import { SHADOW_NAME } from "../core/remote/shadow.ts";
import { allPids, processTree, readProcess, waitUntil } from "../tests/harness/processes.ts";
import type { Subject } from "../tests/harness/subject.ts";
import { runTimed, type TimedRun } from "./timed.ts";
import type { Tool } from "./tools.ts";
import { treeCpuMs } from "./tree_cpu.ts";

/** What a command took. */
export interface Cost extends Omit<TimedRun, "stdout"> {
  /** Processor time of the tree meanwhile, in milliseconds: of the calls that the tool had it make. */
  readonly treeCpuMs: number;
}

/** What the three commands took. */
export interface Round {
  /** The checkpoint that lets the tree run on. */
  readonly leaveRunning: Cost;
  /** How long the tree stood still for it, in milliseconds. */
  readonly frozenMs: number;
  /** The checkpoint that ends the tree, whose own share is not known. */
  readonly checkpoint: Cost;
  readonly restore: Cost;
}

/** PR_SET_CHILD_SUBREAPER (prctl(2)). */
const SET_CHILD_SUBREAPER = 36;
/** Of wait4(2): WNOHANG | __WALL. */
const LOOK = 1 | 0x40000000;
/** A tree of thousands takes a while to look at itself, on a busy machine longer. */
const VERDICT_MS = 120_000;
/** After this long an idle tree that was just started, restored or let go is at rest. */
const SETTLE_MS = 50;

/**
 * Makes this process the parent of orphans. Otherwise their ids stay taken until PID 1 looks for them, which some
 * do every few seconds.
 */
export function adoptOrphans(): void {
  prctl(SET_CHILD_SUBREAPER, 1n);
}

/**
 * Measures one round, after {@link adoptOrphans}.
 *
 * @param home a directory for images and other files; images are deleted again
 * @throws Error where the tool fails, or the tree is not what it was
 */
export async function measureRound(tool: Tool, subject: Subject, home: string): Promise<Round> {
  const [running, ended] = [`${home}/running`, `${home}/ended`];
  try {
    for (const directory of [running, ended]) {
      if (tool.name === "criu") await Deno.mkdir(directory);
    }
    await settle();
    const pids = processTree(subject.pid);
    const before = treeCpuMs(pids);
    const first = await runTimed(tool.checkpoint(subject.pid, running, true), home);
    const spent = treeCpuMs(pids) - before;
    const frozenMs = tool.frozenMs(running, first.stdout);
    await Deno.remove(running, { recursive: true });
    reapShadows();
    await settle();
    const second = await runTimed(tool.checkpoint(subject.pid, ended, false), home);
    await reap(pids);
    const third = await runTimed(tool.restore(ended), home);
    const built = treeCpuMs(pids);
    await settle();
    await subject.expectPass(VERDICT_MS);
    await reap(pids);
    return {
      leaveRunning: cost(first, spent),
      frozenMs,
      checkpoint: cost(second, 0),
      restore: cost(third, built),
    };
  } finally {
    for (const directory of [running, ended]) {
      await Deno.remove(directory, { recursive: true }).catch(() => {});
    }
  }
}

function cost({ wallMs, cpuMs, peakBytes }: TimedRun, treeCpuMs: number): Cost {
  return { wallMs, cpuMs, peakBytes, treeCpuMs };
}

/** Reaps the shadows of a checkpoint, which are orphans: where many of them are left, there are no further ones. */
function reapShadows(): void {
  for (const pid of allPids()) {
    const process = readProcess(pid);
    if (process?.comm === SHADOW_NAME && process.ppid === Deno.pid) wait4(pid, LOOK);
  }
}

/** Waits until processes that were ended have left their ids. */
async function reap(pids: readonly number[]): Promise<void> {
  await waitUntil(
    () => {
      for (const pid of pids) wait4(pid, LOOK);
      return pids.every((pid) => readProcess(pid) === null);
    },
    () => `the ids of a tree of ${pids.length} to be free`,
    VERDICT_MS,
  );
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}
