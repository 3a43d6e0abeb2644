/**
 * Killing the tool at a chosen system call: it is traced from its start, and each entry and each exit of a call of the
 * thread that traces targets is a moment at which it may be killed by SIGKILL.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import {
  detach,
  getRegisters,
  interrupt,
  PTRACE,
  PTRACE_O,
  resumeToSyscall,
  seize,
  waitForStop,
} from "../../core/linux/ptrace.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { readProcess, waitUntil } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** What became of a run of the command. */
export interface TracedRun {
  /** How many moments there were, from the first ptrace request on, until it ended or was killed. */
  readonly moments: number;
  /** The call at which it was killed; absent if it came to its end. */
  readonly killedAt?: string;
  /** Its exit status, if it came to its end. */
  readonly status?: number;
}

const NAMES = new Map<number, string>(
  Object.entries(SYSCALLS).map(([name, number]) => [number, name]),
);

/** What may be done to others of the run when the tool is at the moment of its death. */
export type AtDeath = (tool: number, children: readonly number[]) => void;

/**
 * Runs `stasis ARGS`, kills it at the moment with this number, counted from 0, and waits until whatever it has started
 * has ended as well.
 *
 * @param moment Infinity lets it come to its end
 */
export async function killAt(
  args: readonly string[],
  moment: number,
  atDeath: AtDeath = () => {},
): Promise<TracedRun> {
  const tool = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", CONFIG, MAIN, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const { pid } = tool;
  // Where its end was awaited here, there is nothing left for Deno to wait for.
  const ended = tool.status.catch(() => undefined);
  const seized = seize(pid, PTRACE_O.TRACESYSGOOD);
  if (seized !== 0n) throw new Error(`the tool cannot be traced: ${seized}`);
  interrupt(pid);
  let moments = 0;
  let begun = false;
  for (;;) {
    const stop = waitForStop(pid);
    if (stop.kind === "exited" || stop.kind === "absent" || stop.kind === "killed") {
      const status = stop.kind === "exited" ? stop.code : (await ended)?.code;
      return { moments, status };
    }
    if (stop.kind === "syscall") {
      if (!begun) begun = isPtrace(pid);
      if (begun && moments++ === moment) break;
    }
    resumeToSyscall(pid, stop.kind === "signal" ? stop.signal : 0);
  }
  const registers = getRegisters(pid);
  const number = Number(registers.get("orig_ax"));
  const name = NAMES.get(number) ?? String(number);
  const request = number === SYSCALLS.ptrace ? requestName(registers.get("di")) : "";
  const children = childrenOf(pid);
  atDeath(pid, children);
  Deno.kill(pid, "SIGKILL");
  detach(pid);
  await ended;
  await waitUntil(
    () => children.every((child) => readProcess(child) === null),
    () => `what the tool has started to end: ${JSON.stringify(children.map(readProcess))}`,
  );
  return { moments, killedAt: `${name}${request} (moment ${moment})` };
}

function isPtrace(tid: number): boolean {
  return Number(getRegisters(tid).get("orig_ax")) === SYSCALLS.ptrace;
}

function requestName(request: bigint): string {
  return ` ${Object.entries(PTRACE).find(([, value]) => value === request)?.[0] ?? request}`;
}

function childrenOf(pid: number): number[] {
  return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ").filter(
    (text) => text !== "",
  ).map(Number);
}
