/**
 * Ids that a restored tree needs and that somebody has: as a process, a thread, a process group or a session.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { findIdHolders, type IdHolder } from "../linux/id_holders.ts";
import { IdProbe } from "../linux/id_probe.ts";
import { sleep, wait4 } from "../linux/libc_ffi.ts";
import { readStat, readStatus } from "../linux/procfs/mod.ts";
import type { RestorePlan } from "./plan.ts";

const WNOHANG = 1;
/** So many taken ids are named, at most. */
const MOST_NAMED = 20;
const HINT =
  "end it, or have the tree keep its ids in a pid namespace of its own (--new-pid-namespace)";

/** How long a restore waits for pids that are about to be free, in milliseconds. */
const PID_TIMEOUT = 5_000;

/**
 * After so many turns of the event loop it reaps the zombies of this process itself: nobody else seems to. It is
 * not a time, for on a slow machine whoever started the child here would come too late, and then wait for the
 * next process of that pid: Deno (tokio) asks again by pid, and would reap what is restored.
 */
const REAP_AFTER_TURNS = 20;

/** So often an id is found taken by somebody who lives, before that is believed. */
const LOOKS = 3;

/** PF_EXITING (`include/linux/sched.h`), and SIGKILL in a mask of pending signals. */
const PF_EXITING = 0x4, KILLED = 1n << 8n;

/** An id that a restored tree needs and that somebody has. */
export interface TakenId {
  readonly id: number;
  /** Which, and by whom, a sentence without a full stop. */
  readonly what: string;
  /** Whether who has it has ended, or ends just now, for which a restore waits a while. */
  readonly passes: boolean;
}

/** The ids of a plan that are taken now. */
export function findTaken(plan: RestorePlan): TakenId[] {
  return plan.isApart ? [] : describeTaken(lookFor(wantedBy(plan)));
}

/** Those of some ids that are taken, as problems of a restore that is refused for others as well. */
export function takenProblems(ids: Iterable<number>): Problem[] {
  return describeTaken(lookFor([...ids])).filter(({ passes }) => !passes)
    .map(({ id, what }) => ({ pid: id, plugin: "core", what, hint: HINT }));
}

/**
 * Waits until all pids and tids of the tree are free. Where a tree has been killed they may belong for a while to who
 * has not come to its end yet, and to zombies until a parent (often init) reaps them.
 *
 * @throws {StasisError} `conflict` with all that are taken
 */
export async function awaitIds(plan: RestorePlan, cancellation: Cancellation): Promise<void> {
  const begin = performance.now();
  for (let turns = 0, lasting = 0;; turns++) {
    const { taken, holders } = lookFor(wantedBy(plan));
    if (taken.length === 0) return;
    lasting = taken.every((id) => isPassing(id, holders)) ? 0 : lasting + 1;
    const isOver = lasting === LOOKS || performance.now() - begin > PID_TIMEOUT;
    if (isOver) throw idsTaken(taken, holders);
    // The root of an earlier restore that nobody waits for, killed by its next checkpoint.
    if (turns > REAP_AFTER_TURNS) { for (const pid of taken) wait4(pid, WNOHANG); }
    await sleep(10);
    await cancellation.breathe();
  }
}

/** Does something that makes tasks; of an id that has been taken meanwhile it says by whom. */
export function sayWhoHasIds(make: () => unknown): void {
  try {
    make();
  } catch (error) {
    const taken = takenIn(error);
    if (taken === undefined) throw explainRefusal(error);
    throw idsTaken([taken], undefined, error);
  }
}

/** Whether a restore has failed because an id was taken while it was under way, perhaps for a moment only. */
export function wasTakenMeanwhile(error: unknown): boolean {
  return error instanceof StasisError && takenIn(error.cause) !== undefined;
}

/** The id that a call that makes a task could not give it. */
function takenIn(error: unknown): number | undefined {
  if (!(error instanceof StasisError) || error.errno !== "EEXIST") return undefined;
  const id = /set_tid=(\d+)/.exec(error.message)?.[1];
  return id === undefined ? undefined : Number(id);
}

/** Ids can be chosen by who has the privilege in the user namespace that the pid namespace belongs to. */
function explainRefusal(error: unknown): unknown {
  const refused = error instanceof StasisError && error.errno === "EPERM" &&
    error.message.includes("set_tid=");
  if (!refused) return error;
  return new StasisError(
    "no-privilege",
    "to give processes the ids that they had takes CAP_CHECKPOINT_RESTORE where this pid namespace was made, and it " +
      "is missing there",
    {
      hint: "restore as root outside of this user namespace, or with --new-pid-namespace",
      cause: error,
    },
  );
}

type Holders = ReadonlyMap<number, IdHolder>;

/** The ids that the tasks will have, and those that help to build them. */
function wantedBy(plan: RestorePlan): number[] {
  return [
    ...plan.tasks.flatMap(({ allThreads }) => allThreads.map(({ tid }) => tid)),
    ...plan.tasks.flatMap(({ endedThreads }) => [...endedThreads]),
    ...plan.zombies.keys(),
    ...plan.deadTasks.keys(),
    ...plan.births.helpers.map(({ pid }) => pid),
  ];
}

/** Those of some ids that are taken, and who is in groups or sessions of those. */
function lookFor(wanted: readonly number[]): {
  readonly taken: readonly number[];
  readonly holders: Holders;
} {
  using probe = new IdProbe();
  const taken = wanted.filter((id) => probe.isTaken(id));
  const holders = taken.length === 0 ? new Map() : findIdHolders(new Set(taken));
  return { taken, holders };
}

function describeTaken({ taken, holders }: ReturnType<typeof lookFor>): TakenId[] {
  return taken.map((id) => ({
    id,
    what: describeHolder(id, holders),
    passes: isPassing(id, holders),
  }));
}

function isPassing(id: number, holders: Holders): boolean {
  return isEnding(holders.get(id)?.pid ?? id);
}

/** Whether a task has ended, or comes to its end: it is a zombie, exits, or has been sent SIGKILL. */
function isEnding(pid: number): boolean {
  try {
    if (isZombie(pid) || (readStat(pid).flags & PF_EXITING) !== 0) return true;
    const { sigPending, sharedPending } = readStatus(pid);
    return ((sigPending | sharedPending) & KILLED) !== 0n;
  } catch {
    return true;
  }
}

/** Whether a task has ended, and waits for being reaped. @throws {StasisError} `no-such-task` */
function isZombie(pid: number): boolean {
  const { state, threads } = readStat(pid);
  return state === "X" || state === "Z" && threads === 1;
}

/** The error for ids that a restored tree needs and that somebody has. @param ids at least one */
export function idsTaken(
  ids: readonly number[],
  holders: Holders = findIdHolders(new Set(ids)),
  cause?: unknown,
): StasisError {
  const problems = ids.slice(0, MOST_NAMED).map((pid) => ({
    pid,
    plugin: "core",
    what: describeHolder(pid, holders),
  }));
  const [first] = problems as [Problem];
  const others = ids.length === 2 ? "another id is taken" : `${ids.length - 1} other ids are taken`;
  return new StasisError(
    "conflict",
    ids.length === 1 ? first.what : `${first.what}, and ${others}, too`,
    {
      pid: first.pid,
      errno: "EEXIST",
      hint: HINT,
      problems: ids.length === 1 ? undefined : problems,
      cause,
    },
  );
}

function describeHolder(pid: number, holders: Holders): string {
  let holder = "a task that has just gone";
  try {
    const { comm, ppid } = readStat(pid);
    holder = isZombie(pid)
      ? `a zombie (${comm}) that its parent ${ppid} has not reaped`
      : `another task (${comm})`;
  } catch {
    // It has gone, but others may still be in the group or session that it led.
    const member = holders.get(pid);
    if (member !== undefined) holder = `the ${member.as} of task ${member.pid} (${member.comm})`;
  }
  return `pid ${pid} is taken by ${holder}`;
}
