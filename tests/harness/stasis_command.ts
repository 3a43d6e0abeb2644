/**
 * The command line, run as a user would run it.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** Takes every capability from root: what is left may read its own files, and trace nobody. */
const WITHOUT_PRIVILEGE = [
  "setpriv",
  ...["--bounding-set", "-all", "--inh-caps", "-all", "--ambient-caps", "-all", "--"],
];

/** Allows so many open files, and not to allow oneself more. */
function withDescriptors(limit: number): string[] {
  const capability = ["--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource", "--"];
  return ["prlimit", `--nofile=${limit}:${limit}`, "setpriv", ...capability];
}

/** What a run of the command gave. */
export interface CommandOutcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface RunningCommand {
  readonly pid: number;
  /** Whether it has ended. */
  readonly ended: boolean;
  /** What it has said so far. */
  stderr(): string;
  /** Sends it a signal, if it has not ended. */
  kill(signal: Deno.Signal): void;
  /** What came of it. */
  readonly outcome: Promise<CommandOutcome>;
}

/** Starts `stasis ARGS`, with the privileges of this process. */
export function startStasis(args: readonly string[]): RunningCommand {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", CONFIG, MAIN, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let said = "";
  let ended = false;
  const listen = async (): Promise<CommandOutcome> => {
    const stdout = new Response(child.stdout).text();
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) said += part;
    const { code } = await child.status;
    ended = true;
    return { status: code, stdout: await stdout, stderr: said };
  };
  return {
    pid: child.pid,
    get ended() {
      return ended;
    },
    stderr: () => said,
    kill(signal) {
      if (!ended) child.kill(signal);
    },
    outcome: listen(),
  };
}

/**
 * Runs `stasis ARGS`.
 *
 * @param privileged whether with the capabilities of this process, or with none
 * @param through a command that starts it, with its arguments: `nsenter`, for example
 * @param descriptors how many files it may have open, if not as many as this process
 */
export async function stasis(
  args: readonly string[],
  { privileged = true, through = [], descriptors }: {
    readonly privileged?: boolean;
    readonly through?: readonly string[];
    readonly descriptors?: number;
  } = {},
): Promise<CommandOutcome> {
  const [command, ...rest] = [
    ...through,
    ...privileged ? [] : WITHOUT_PRIVILEGE,
    ...descriptors === undefined ? [] : withDescriptors(descriptors),
    ...[Deno.execPath(), "run", "-A", "--no-check", "--config", CONFIG, MAIN],
    ...args,
  ];
  const { code, stdout, stderr } = await new Deno.Command(command as string, {
    args: rest,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { status: code, stdout: text(stdout), stderr: text(stderr) };
}

/** What the tool is run through so that it may not read the kernel's memory. */
export const BLIND: readonly string[] = [
  "setpriv",
  "--bounding-set=-bpf,-perfmon,-sys_admin",
  "--inh-caps=-bpf,-perfmon,-sys_admin",
  "--",
];
