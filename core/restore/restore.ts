/**
 * The restore pipeline: load, plan, build, arm, run.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { EventListener } from "../../base/events.ts";
import { collectGarbage } from "../garbage.ts";
import { Cancellation } from "../cancellation.ts";
import { blame, runHook } from "../hooks.ts";
import { Interruptions } from "../linux/interruptions.ts";
import { pollInBackground, sleep, syscall, wait4 } from "../linux/libc_ffi.ts";
import { openPidfd } from "../linux/pidfd.ts";
import { decodeStatus } from "../linux/ptrace.ts";
import { readStat, unlessGone } from "../linux/procfs/mod.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { BuiltTree } from "./build.ts";
import { LastNames } from "./last_names.ts";
import { deleteLinkRemaps, linkRemapRemovals } from "./link_remaps.ts";
import type { RestorePlan } from "./plan.ts";
import { awaitIds } from "./taken_ids.ts";

const WNOHANG = 1;

/** How a restored root ended. Neither is there if somebody else in this process reaped it: that can be done once. */
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
  /** What it is called in the tree: the same, unless that has a pid namespace of its own. */
  readonly innerPid: number;
  /** All live tasks. */
  readonly pids: readonly number[];
  #ending: Promise<Ending> | undefined;

  constructor(pids: readonly number[], innerPid: number) {
    this.innerPid = innerPid;
    this.pids = pids;
    this.pid = pids[0] as number;
  }

  /** Waits until the root ends, and reaps it. It may be checkpointed meanwhile. */
  wait(): Promise<Ending> {
    return this.#ending ??= waitForEnd(this.pid);
  }

  /** Sends a signal to the root. @returns whether it still exists */
  kill(signal: number): boolean {
    return syscall(SYSCALLS.kill, this.pid, signal) === 0n;
  }
}

/**
 * A pidfd tells of the end alone. A wait4(2) in another thread would take the stops of a checkpoint too: the
 * kernel hands the stops of a tracee to whichever thread of its tracer waits (do_wait() of kernel/exit.c).
 */
async function waitForEnd(pid: number): Promise<Ending> {
  // Only this process can reap its child, so one that is gone has ended.
  if (!isChild(pid)) return {};
  try {
    using pidfd = openPidfd(pid);
    while (!await pollInBackground(pidfd.fd));
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return {};
    throw error;
  }
  let ended = wait4(pid, WNOHANG);
  // Of a tracee, in the moment when a checkpoint has killed it, its tracer is told first.
  for (; ended.pid === 0; ended = wait4(pid, WNOHANG)) await sleep(1);
  if (ended.pid !== pid) return {};
  const stop = decodeStatus(ended.status);
  return stop.kind === "killed"
    ? { signal: stop.signal }
    : { code: stop.kind === "exited" ? stop.code : 0 };
}

function isChild(pid: number): boolean {
  return unlessGone(() => readStat(pid).ppid === Deno.pid, false);
}

/** What runs a plan. */
export interface PlanRun {
  readonly signal: AbortSignal;
  readonly listener: EventListener;
  /** Is told the pid of the root when the tree is whole and does not run yet; by what it throws the restore fails. */
  readonly beforeRun?: (pid: number) => void | Promise<void>;
}

/** Runs a plan. @throws {StasisError} nothing is left of the tree then */
export async function runPlan(
  plan: RestorePlan,
  { signal, listener, beforeRun }: PlanRun,
): Promise<RestoredTree> {
  const cancellation = new Cancellation(signal);
  if (!plan.isApart) await awaitIds(plan, cancellation);
  listener({ kind: "phase", phase: "build" });
  // Somebody may kill the tree meanwhile.
  using _ = new Interruptions();
  const note = (text: string) => listener({ kind: "note", plugin: "core", text });
  using names = new LastNames(plan, note);
  using undo = new DisposableStack();
  for (const { plugin, hooks } of plan.plugins) runHook(plugin, () => hooks.begin?.(undo));
  using ending = new DisposableStack();
  using tree = new BuiltTree(plan, names.files, cancellation, listener);
  try {
    await tree.build();
    collectGarbage(plan.tasks.length);
    listener({ kind: "phase", phase: "arm" });
    tree.arm();
    await cancellation.breathe();
    listener({ kind: "phase", phase: "run" });
    for (const { plugin, hooks } of plan.plugins) runHook(plugin, () => hooks.complete?.());
    await beforeRun?.(tree.pids[0] as number);
    const finishing = plan.plugins.flatMap(({ hooks }) => hooks.finishing?.() ?? []);
    const rest = [...finishing, ...linkRemapRemovals(plan.linkRemaps)];
    const keeper = ending.use(tree.startKeeper(names.undo, rest));
    names.give();
    if (keeper !== undefined) tree.outlive(keeper);
  } catch (error) {
    abandon(plan, tree);
    throw error;
  }
  // From here on nothing can fail any more: the tree is whole, and what was made for it stays.
  finish(plan, listener);
  const { pids } = tree;
  tree.run();
  deleteLinkRemaps(plan.linkRemaps, note);
  return new RestoredTree(pids, plan.pid);
}

/** Has the plugins let go on what the tree is connected to; it runs whatever they say, which is told. */
function finish({ plugins }: RestorePlan, listener: EventListener): void {
  for (const { plugin, hooks } of plugins) {
    try {
      runHook(plugin, () => hooks.finish?.());
    } catch (error) {
      const { message } = blame(plugin, error);
      const text = `the tree runs, but what comes last was not done: ${message}`;
      listener({ kind: "note", plugin: plugin.name, text });
    }
  }
}

/** Tells the plugins that what was built is killed next. */
function abandon({ plugins }: RestorePlan, tree: BuiltTree): void {
  for (const { hooks } of plugins) {
    try {
      hooks.abandon?.((pid) => tree.pidOf(pid));
    } catch (error) {
      // What the restore has failed by is told.
      if (!(error instanceof StasisError)) throw error;
    }
  }
}
