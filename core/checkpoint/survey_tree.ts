/**
 * What of a tree's own shape could not be built again: tables and memory that come from nowhere, ids of groups and sessions that others outside of the tree will go on using.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import { readLink } from "../linux/files.ts";
import { findIdHolders } from "../linux/id_holders.ts";
import { KCMP } from "../linux/kcmp.ts";
import { readProcesses, readStat, taskPath, unlessGone } from "../linux/procfs/mod.ts";
import { SIG } from "../linux/signals.ts";
import { planBirths, type TreeTask } from "../restore/births.ts";
import { descends, OpenLinks } from "./outside_holders.ts";
import { findOwners, findSharers } from "./sharing.ts";
import type { Task } from "./task.ts";

/**
 * Looks at the shape of a tree, which may change meanwhile.
 *
 * @param tasks parents before children, zombies included
 * @param isToEnd whether the tree is to be ended: one that others share ids with could not be had again where they live
 */
export function surveyTree(
  tasks: readonly Task[],
  isToEnd: boolean,
): Problem[] {
  return unlessEnded(() => findProblems(tasks, isToEnd));
}

/** What is found, or nothing where a task of the tree ends meanwhile. */
function unlessEnded<T>(find: () => T[]): T[] {
  try {
    return find();
  } catch (error) {
    // One has ended meanwhile: the next look shows the tree without it, and the restore is planned in any case.
    const ended = error instanceof StasisError &&
      (error.code === "no-such-task" || error.errno === "ESRCH");
    if (ended) return [];
    throw error;
  }
}

/** Another process that has an object of a tree as well. */
interface OutsideSharer {
  /** The task of the tree. */
  readonly pid: number;
  readonly other: number;
  /** Its name. */
  readonly comm: string;
}

/** Finds who outside of a tree has objects of it as well. @param type one of KCMP */
function outsideSharers(
  live: readonly Task[],
  known: ReadonlySet<number>,
  type: number,
): OutsideSharer[] {
  const others = readProcesses().filter((pid) => !known.has(pid));
  // Who has no memory, as one that is just ending, has none in common with the kernel's threads, which have none either.
  const hasMemory = (pid: number) => unlessGone(() => readStat(pid).vsize > 0n, false);
  // A task that the tree has made meanwhile is none from outside.
  return [...findSharers(live, type, others)]
    .filter(([pid]) => hasMemory(pid) && !descends(pid, known))
    .map(([other, pid]) => ({
      pid,
      other,
      comm: unlessGone(() => readStat(other).comm, "gone"),
    }));
}

/** Memory that processes outside of the tree have as well: they would change it while it is saved, and lose it then. */
function memorySharers(live: readonly Task[], known: ReadonlySet<number>) {
  return outsideSharers(live, known, KCMP.VM).map(({ pid, other, comm }) => ({
    pid,
    what: `it shares its memory with process ${other} (${comm}) outside of the tree (CLONE_VM)`,
    hint: "checkpoint a tree that has both",
  }));
}

/** What processes outside have as well that a restored tree has for itself. */
const PARTED = [
  [KCMP.FILES, "descriptor table", "CLONE_FILES"],
  [KCMP.FS, "directories and umask", "CLONE_FS"],
] as const;

/**
 * Says what a tree has in common with processes outside of it, and will not after a restore.
 *
 * @param tasks zombies included
 */
export function partedFromOutside(tasks: readonly Task[]): string[] {
  const known = new Set(tasks.map(({ pid }) => pid));
  return unlessEnded(() => {
    const live = tasks.filter((task) => !task.isZombie);
    return PARTED.flatMap(([type, what, flag]) =>
      outsideSharers(live, known, type).map(({ pid, other, comm }) =>
        `task ${pid} shares its ${what} with process ${other} (${comm}) outside of the tree (${flag}), ` +
        "and will not after a restore"
      )
    );
  });
}

/**
 * Says which groups and sessions of a tree others are in as well who end with it, as `cat` in `program | cat`: an
 * interactive shell makes one group of both.
 *
 * @param tasks zombies included
 */
export function heldUntilItEnds(tasks: readonly Task[]): string[] {
  const known = new Set(tasks.map(({ pid }) => pid));
  return [...findIdHolders(known, known)].filter(([id]) => endsWithTree(id, known))
    .map(([id, { pid, comm, as }]) =>
      `task ${pid} (${comm}), outside of the tree, is in its ${as} ${id}, reads what it writes, and should end with it: ` +
      "until it has, the tree cannot be restored"
    );
}

/**
 * Whether all those outside of a tree who are in a group or session of it read from pipes to which only they and the tree
 * write: they come to the end of their input when the tree ends.
 */
function endsWithTree(id: number, known: ReadonlySet<number>): boolean {
  const members = readProcesses().filter((pid) => {
    if (known.has(pid)) return false;
    const stat = unlessGone(() => readStat(pid), undefined);
    return stat !== undefined && (stat.pgrp === id || stat.session === id);
  });
  const all = new Set([...known, ...members]);
  const links = new OpenLinks();
  return members.every((pid) => {
    const input = inputOf(pid);
    return input.startsWith("pipe:") && links.holdersOf(input, all).length === 0;
  });
}

/** What a process has as its standard input, as its link says; empty where nobody can tell. */
function inputOf(pid: number): string {
  try {
    return readLink(`${taskPath(pid)}/fd/0`);
  } catch {
    // It has none, or has ended.
    return "";
  }
}

function findProblems(tasks: readonly Task[], isToEnd: boolean): Problem[] {
  const [root] = tasks;
  const known = new Set(tasks.map(({ pid }) => pid));
  // A child that was given to somebody else since is no part of the tree any more.
  const members = tasks.filter((task) => task === root || known.has(task.stat.ppid));
  const live = members.filter((task) => !task.isZombie);
  const memory = findOwners(live, KCMP.VM);
  const files = findOwners(live, KCMP.FILES);
  const fs = findOwners(live, KCMP.FS);
  const handlers = findOwners(live, KCMP.SIGHAND);
  const tree = members.map(({ pid, stat, isZombie }): TreeTask => ({
    pid,
    ppid: pid === root?.pid ? 0 : stat.ppid,
    pgid: stat.pgrp,
    sid: stat.session,
    dead: isZombie,
    filesOwner: files.get(pid),
    fsOwner: fs.get(pid),
    memoryOwner: memory.get(pid),
    handlersOwner: handlers.get(pid),
    exitSignal: stat.exitSignal === SIG.CHLD ? undefined : stat.exitSignal,
  }));
  // No pid is negative: helpers that need no certain one need none here.
  let free = -2;
  const { problems, helpers } = planBirths(tree, () => free--);
  const needed = new Set([...known, ...helpers.flatMap(({ pid, leads }) => leads ? [pid] : [])]);
  return [
    ...problems,
    ...memorySharers(live, known),
    ...[...isToEnd ? findIdHolders(needed, known) : []].filter(([id]) =>
      !(known.has(id) && endsWithTree(id, known))
    ).map(([id, { pid, comm, as }]) => ({
      pid: tree.find((one) => one.pid === id || one.pgid === id || one.sid === id)?.pid,
      what: `its ${as} ${id} has task ${pid} (${comm}) outside of the tree in it, ` +
        "so nobody can have that id anew",
      hint:
        "checkpoint a tree that has both, or end that one first; or let it run on (--leave-running), and restore it " +
        "with --new-pid-namespace",
    })),
  ].map((problem) => ({ ...problem, plugin: "core" }));
}
