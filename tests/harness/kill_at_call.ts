/**
 * Killing the tool at a chosen system call: it is traced from its start, and each entry and each exit of a call of the
 * thread that traces targets is a moment at which something may be done to it and to what it has started.
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
  /** How many moments there were, from the first ptrace request on, until it ended or was let go. */
  readonly moments: number;
  /** The call at which something was done to it; absent if it came to its end before. */
  readonly call?: string;
  /** How it ended. */
  readonly status: Deno.CommandStatus;
  /** What it had to say. */
  readonly stderr: string;
}

const NAMES = new Map<number, string>(
  Object.entries(SYSCALLS).map(([name, number]) => [number, name]),
);

/**
 * Something that is done at a moment. Afterwards the tool runs on by itself, if it lives.
 *
 * @param tool its pid
 * @param children what it has started: the guardians, the first one first
 */
export type Act = (tool: number, children: readonly number[]) => void;

/** Kills the tool. */
export const killTool: Act = (tool) => Deno.kill(tool, "SIGKILL");

/**
 * Runs `stasis ARGS`, does something at the moment with this number, counted from 0, and waits until the tool and all
 * that it has started have ended.
 *
 * @param moment Infinity lets it come to its end
 */
export async function actAtMoment(
  args: readonly string[],
  moment: number,
  act: Act = killTool,
): Promise<TracedRun> {
  const tool = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", CONFIG, MAIN, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const said = new Response(tool.stderr).text();
  const { pid } = tool;
  const seized = seize(pid, PTRACE_O.TRACESYSGOOD);
  if (seized !== 0n) throw new Error(`the tool cannot be traced: ${seized}`);
  interrupt(pid);
  let moments = 0;
  let call: string | undefined;
  let children: readonly number[] = [];
  for (let begun = false; call === undefined;) {
    // Its end is left to Deno, which has started it.
    const stop = waitForStop(pid);
    if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") {
      throw new Error("the end of the tool was not to be told here");
    }
    const isCall = stop.kind === "syscall";
    if (isCall && !begun) begun = currentCall(pid) === SYSCALLS.ptrace;
    if (isCall && begun && (moments === moment || currentCall(pid) === SYSCALLS.exit_group)) {
      call = describeCall(pid);
      children = childrenOf(pid);
      if (moments === moment) act(pid, children);
      else call = "";
      detach(pid);
    } else resumeToSyscall(pid, stop.kind === "signal" ? stop.signal : 0);
    if (isCall && begun) moments++;
  }
  const status = await tool.status;
  await waitUntil(
    () => children.every((child) => readProcess(child) === null),
    () => `what the tool has started to end: ${JSON.stringify(children.map(readProcess))}`,
    60_000,
  );
  return { moments, call: call === "" ? undefined : call, status, stderr: await said };
}

function currentCall(tid: number): number {
  return Number(getRegisters(tid).get("orig_ax"));
}

function describeCall(tid: number): string {
  const number = currentCall(tid);
  const name = NAMES.get(number) ?? `call ${number}`;
  if (number !== SYSCALLS.ptrace) return name;
  const request = getRegisters(tid).get("di");
  const known = Object.entries(PTRACE).find(([, value]) => value === request)?.[0];
  return `${name} ${known ?? request}`;
}

function childrenOf(pid: number): number[] {
  const text = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
  return text === "" ? [] : text.split(" ").map(Number);
}
