/**
 * Finding the processes that a test started, whoever is their parent by now.
 *
 * @module
 */
import { CLOSE_INHERITED } from "./close_inherited.ts";

/** One process as `/proc/PID/stat` tells it (proc_pid_stat(5)). */
export interface ProcessLine {
  readonly pid: number;
  readonly comm: string;
  /** R, S, D, T, t, Z, X, I. */
  readonly state: string;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  /** How many threads it has; 0 while another thread takes the place of the first one (execve). */
  readonly threads: number;
}

/** Reads `/proc/PID/stat`; null if there is no such process. */
export function readProcess(pid: number): ProcessLine | null {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return null;
  }
  // The name stands in parentheses and may hold any character, a parenthesis too.
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const [state, ppid, pgrp, session] = fields;
  return {
    pid,
    comm: text.slice(open + 1, close),
    state: state ?? "?",
    ppid: Number(ppid),
    pgrp: Number(pgrp),
    session: Number(session),
    threads: Number(fields[17]),
  };
}

/**
 * Whether the process exists and runs (or could): a zombie is not alive. One whose first thread alone has ended
 * is, and is so for a moment whenever another thread of it executes a program.
 */
export function isAlive(pid: number): boolean {
  const process = readProcess(pid);
  if (process === null || process.state === "X") return false;
  return process.state !== "Z" || process.threads !== 1;
}

/** The threads of a tree that job control has stopped, each as the directory of it in `/proc`. */
export function stoppedThreads(root: number): string[] {
  return processTree(root).flatMap((pid) => {
    try {
      return Array.from(
        Deno.readDirSync(`/proc/${pid}/task`),
        ({ name }) => `/proc/${pid}/task/${name}`,
      );
    } catch {
      return []; // it went
    }
  }).filter(isStopped);
}

function isStopped(thread: string): boolean {
  try {
    return /^State:\tT/m.test(Deno.readTextFileSync(`${thread}/status`));
  } catch {
    return false;
  }
}

/**
 * Waits until threads are stopped again: who was let go of in such a stop has to run to come to stand still, which takes
 * a moment where the processors are busy. One that does not in good time is left to whoever compares.
 */
export async function awaitStops(threads: readonly string[]): Promise<void> {
  const end = performance.now() + 5_000;
  while (!threads.every(isStopped) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The bit of SIGKILL in a mask of `/proc/PID/status`, and of PF_EXITING in the flags of `/proc/PID/stat`. */
const SIGKILL_BIT = 1n << 8n, PF_EXITING = 4;

/** Whether a process is alive and about to die: SIGKILL is on its way to one of its threads, or one of them ends. */
function isDying(pid: number): boolean {
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const thread = `/proc/${pid}/task/${name}`;
      const status = Deno.readTextFileSync(`${thread}/status`);
      for (const [, mask] of status.matchAll(/^S(?:ig|hd)Pnd:\t(\w+)$/gm)) {
        if ((BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n) return true;
      }
      const stat = Deno.readTextFileSync(`${thread}/stat`);
      const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6]);
      if ((flags & PF_EXITING) !== 0) return true;
    }
  } catch {
    // A thread went while it was looked at.
    return isAlive(pid);
  }
  return false;
}

/** Whether a process outlives what it was sent: waits for the end of one that has been sent SIGKILL. */
export async function outlives(pid: number): Promise<boolean> {
  await waitUntil(() => !isAlive(pid) || !isDying(pid), `process ${pid} to die`);
  return isAlive(pid);
}

/** Every pid of the machine. */
export function allPids(): number[] {
  const pids: number[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (/^[0-9]+$/.test(entry.name)) pids.push(Number(entry.name));
  }
  return pids.sort((a, b) => a - b);
}

/** The process and all its descendants, parents first; empty if it does not exist. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of allPids()) {
    const process = readProcess(pid);
    if (process === null) continue;
    const siblings = children.get(process.ppid);
    if (siblings) siblings.push(pid);
    else children.set(process.ppid, [pid]);
  }
  if (readProcess(root) === null) return [];
  const tree = [root];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []));
  return tree;
}

/**
 * The live processes whose environment holds `NAME=VALUE` exactly. The environment is memory: it stays
 * with a process through fork, orphanhood, checkpoint and restore, which no pid or parent does.
 */
export function processesWithEnv(name: string, value: string): number[] {
  const wanted = `${name}=${value}`;
  return allPids().filter((pid) => {
    try {
      return isAlive(pid) && environmentOf(pid).split("\0").includes(wanted);
    } catch {
      return false;
    }
  });
}

/** The environment by whichever thread has it still: a first thread that has ended has none. */
function environmentOf(pid: number): string {
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/environ`);
    if (text !== "") return text;
  }
  return "";
}

/**
 * Waits until `condition` holds, looking every few milliseconds.
 *
 * @param what what is awaited, for the message of the error
 * @throws Error when it does not hold within `timeoutMs`
 */
export async function waitUntil(
  condition: () => boolean,
  what: string | (() => string),
  timeoutMs = 10_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(
        `waited ${timeoutMs} ms in vain: ${typeof what === "string" ? what : what()}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Has some process take an id, which has nothing but its standard streams. @returns it, if it is a child of this process */
export async function takePid(pid: number): Promise<Deno.ChildProcess | undefined> {
  for (;;) {
    if (readProcess(pid) !== null) return undefined;
    Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    const child = new Deno.Command("bash", {
      args: ["-c", `${CLOSE_INHERITED}; exec sleep 1000`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    if (child.pid === pid) {
      await waitUntil(() => readProcess(pid)?.comm === "sleep", "it to be a sleep");
      return child;
    }
    child.kill("SIGKILL");
    await child.status;
  }
}
