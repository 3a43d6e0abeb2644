/**
 * The restore pipeline: load, plan, build, arm, run.
 *
 * @module
 */
import { StasisError } from "../errors.ts";
import type { EventListener } from "../events.ts";
import { breathe } from "../hooks.ts";
import { syscall, waitInBackground } from "../linux/libc_ffi.ts";
import { decodeStatus } from "../linux/ptrace.ts";
import { readStat } from "../linux/procfs/mod.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { BuiltTree, pidTaken } from "./build.ts";
import type { RestorePlan } from "./plan.ts";

/** How a restored root ended. */
export interface Ending {
  /** Its exit code, if it exited. */
  readonly code?: number;
  /** The signal that killed it, if one did. */
  readonly signal?: number;
}

/** A tree that runs again. Its root is a child of this process. */
export class RestoredTree {
  /** The root. */
  readonly pid: number;
  /** All live tasks. */
  readonly pids: readonly number[];
  #ending: Promise<Ending> | undefined;

  constructor(pids: readonly number[]) {
    this.pids = pids;
    this.pid = pids[0] as number;
  }

  /** Waits until the root ends, and reaps it. */
  wait(): Promise<Ending> {
    this.#ending ??= waitInBackground(this.pid).then(({ pid, status }) => {
      if (pid !== this.pid) {
        throw new StasisError(
          "no-such-task",
          `task ${this.pid} is no child of this process any more`,
          {
            pid: this.pid,
          },
        );
      }
      const stop = decodeStatus(status);
      return stop.kind === "killed"
        ? { signal: stop.signal }
        : { code: stop.kind === "exited" ? stop.code : 0 };
    });
    return this.#ending;
  }

  /** Sends a signal to the root. @returns whether it still exists */
  kill(signal: number): boolean {
    return syscall(SYSCALLS.kill, this.pid, signal) === 0n;
  }
}

/** How long a restore waits for pids that are about to be free, in milliseconds. */
const PID_TIMEOUT = 5_000;

/** Runs a plan. @throws {StasisError} nothing is left of the tree then */
export async function runPlan(
  plan: RestorePlan,
  { signal, listener }: { readonly signal: AbortSignal; readonly listener: EventListener },
): Promise<RestoredTree> {
  await awaitPids(plan, signal);
  listener({ kind: "phase", phase: "build" });
  using tree = new BuiltTree(plan);
  await tree.build(signal);
  listener({ kind: "phase", phase: "arm" });
  tree.arm();
  await breathe(signal);
  listener({ kind: "phase", phase: "run" });
  tree.run();
  return new RestoredTree(plan.tasks.map(({ pid }) => pid));
}

/**
 * Waits until all pids and tids of the tree are free. After a dump that killed the tree they may belong to
 * zombies for a while, until a parent (often init) reaps them.
 */
async function awaitPids(plan: RestorePlan, signal: AbortSignal): Promise<void> {
  const wanted = [
    ...plan.tasks.flatMap(({ threads }) => threads.map(({ tid }) => tid)),
    ...plan.zombies.keys(),
    ...plan.births.helpers.map(({ pid }) => pid),
  ];
  const deadline = performance.now() + PID_TIMEOUT;
  for (const pid of wanted) {
    while (exists(pid)) {
      if (!isEnding(pid) || performance.now() > deadline) throw pidTaken(pid);
      await new Promise((resolve) => setTimeout(resolve, 10));
      await breathe(signal);
    }
  }
}

function exists(id: number): boolean {
  // kill(2) finds threads by their tid too.
  return syscall(SYSCALLS.kill, id, 0) !== -3n;
}

function isEnding(pid: number): boolean {
  try {
    return ["Z", "X"].includes(readStat(pid).state);
  } catch {
    return true;
  }
}
