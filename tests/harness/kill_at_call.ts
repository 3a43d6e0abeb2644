/**
 * Killing the tool at a chosen system call: it is traced from its start, and each entry and each exit of a call of the
 * thread that traces targets is a moment at which something may be done to it and to what it has started.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import {
  detach,
  eventMessage,
  getRegisters,
  PTRACE,
  PTRACE_EVENT_EXIT,
  PTRACE_EVENT_VFORK,
  PTRACE_O,
  resume,
  resumeToSyscall,
  seize,
  setOptions,
  waitForStop,
} from "../../core/linux/ptrace.ts";
import { readStat, readTasks, unlessGone } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { allPids, isAlive, readProcess, waitUntil } from "./processes.ts";

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
 * @param guardians of those that live, the first one first
 */
export type Act = (tool: number, guardians: readonly number[]) => void;

/** Kills the tool. */
export const killTool: Act = (tool) => Deno.kill(tool, "SIGKILL");

/**
 * Runs `stasis ARGS`, does something at a moment, and waits until the tool and all that it has started have ended.
 *
 * @param moment its number, counted from 0, or what tells by the calls whether it has come; Infinity lets the tool come
 * to its end
 * @param see is told of the call at every moment until then
 * @param outliving children of the tool that nobody waits for
 */
export async function actAtMoment(
  args: readonly string[],
  moment: number | ((call: string) => boolean),
  act: Act = killTool,
  see?: (call: string) => void,
  outliving: readonly number[] = [],
): Promise<TracedRun> {
  const tool = startStopped(args);
  const said = new Response(tool.stderr).text();
  const { pid } = tool;
  await waitUntil(() => readProcess(pid)?.state === "T", "the tool to wait for its tracer");
  const traced = seize(pid, PTRACE_O.TRACESYSGOOD | PTRACE_O.TRACEEXIT | PTRACE_O.TRACEVFORK);
  if (traced !== 0n) throw new Error(`the tool cannot be traced: ${traced}`);
  Deno.kill(pid, "SIGCONT");
  let moments = 0;
  const isNow = (pid: number) =>
    typeof moment === "number" ? moments === moment : moment(describeCall(pid));
  let call: string | undefined;
  let children: readonly Child[] = [];
  // It traces nobody before it has made a process, and is quicker without being looked at until then.
  for (let goOn = resume, begun = false;;) {
    const stop = waitForStop(pid);
    if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") {
      throw new Error("the end of the tool was not to be told here");
    }
    if (stop.kind === "event" && stop.event === PTRACE_EVENT_EXIT) break;
    if (stop.kind === "event" && stop.event === PTRACE_EVENT_VFORK) {
      leaveChild(Number(eventMessage(pid)));
      // Without TRACEEXIT: one that is killed would stop once more.
      setOptions(pid, PTRACE_O.TRACESYSGOOD);
      goOn = resumeToSyscall;
    }
    if (stop.kind === "syscall") {
      const current = currentCall(pid);
      if (current === SYSCALLS.exit_group) break;
      begun ||= current === SYSCALLS.ptrace;
      if (begun) see?.(describeCall(pid));
      if (begun && isNow(pid)) {
        call = describeCall(pid);
        const pids = childrenOf(pid).filter((child) => !outliving.includes(child));
        children = pids.map((pid) => ({ pid, start: startOf(pid) }));
        act(pid, pids.filter(isGuardian));
        moments++;
        break;
      }
      if (begun) moments++;
    }
    goOn(pid, stop.kind === "signal" ? stop.signal : 0);
  }
  detach(pid);
  const status = await tool.status;
  await waitUntil(
    () => !children.some(({ pid, start }) => isAlive(pid) && startOf(pid) === start),
    () =>
      `what the tool has started to end, at ${call}:\n${children.map(describeWaiting).join("")}`,
    60_000,
  );
  return { moments, call, status, stderr: await said };
}

/** What a process waits in, and what those wait in that it traces: where it should have ended. */
function describeWaiting({ pid }: Child): string {
  const traced = allPids().flatMap((one) => threadsOf(one)).filter((tid) =>
    new RegExp(`^TracerPid:\\t${pid}$`, "m").test(fileOf(tid, "status"))
  );
  const lines = [pid, ...traced].map((tid) => {
    const [name, state] = ["comm", "wchan"].map((file) => fileOf(tid, file).trim());
    const status = /^State:.*|^Sig.*|^Shd.*/gm;
    return `${tid} ${name} ${state} ${fileOf(tid, "syscall").trim()} ${
      fileOf(tid, "status").match(status)?.join(" ")
    }\n${fileOf(tid, "stack")}`;
  });
  return `${traced.length} traced\n${lines.join("\n")}\n`;
}

function threadsOf(pid: number): readonly number[] {
  return unlessGone(() => readTasks(pid), []);
}

/** A file of `/proc`; empty where it is gone. */
function fileOf(tid: number, name: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${tid}/${name}`);
  } catch {
    return "";
  }
}

/** Starts `stasis ARGS`, which stops before its first instruction. */
function startStopped(args: readonly string[]): Deno.ChildProcess {
  const command = ["run", "-A", "--no-check", "--config", CONFIG, MAIN, ...args];
  return new Deno.Command("/bin/sh", {
    args: ["-c", 'kill -STOP $$; exec "$@"', "sh", Deno.execPath(), ...command],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

/** Lets go of a new process that is traced since its maker is. */
function leaveChild(pid: number): void {
  const stop = waitForStop(pid);
  if (stop.kind !== "event-stop") throw new Error(`a new process of the tool: ${stop.kind}`);
  detach(pid);
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

/** A process that the tool has started: its pid may be another one's soon. */
interface Child {
  readonly pid: number;
  readonly start: bigint | undefined;
}

function startOf(pid: number): bigint | undefined {
  return unlessGone(() => readStat(pid).startTime, undefined);
}

function isGuardian(pid: number): boolean {
  return Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("stasis-guardian\0");
}
