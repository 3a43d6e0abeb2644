// SPDX-License-Identifier: MIT
/**
 * Runs other programs for the build and the VM, and says in one sentence what failed.
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";

/** How to run a program. */
export interface RunOptions {
  /** The working directory. */
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the program reads; nothing if absent. */
  readonly stdin?: Uint8Array;
}

/**
 * Runs a program to its end.
 *
 * @param argv the program and its arguments
 * @returns what it wrote to stdout
 * @throws StasisError `unsupported` if there is no such program, `internal` with the last lines of its
 * output if it fails
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program, ...args] = argv as [string, ...string[]];
  const command = new Deno.Command(program, {
    args,
    cwd: options.cwd,
    env: options.env,
    stdin: options.stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  });
  const child = spawn(command, program);
  if (options.stdin) {
    const writer = child.stdin.getWriter();
    await writer.write(options.stdin).catch(() => {});
    await writer.close().catch(() => {});
  }
  const output = await child.output();
  const decoder = new TextDecoder();
  const stdout = decoder.decode(output.stdout);
  if (output.success) return stdout;
  throw new StasisError(
    "internal",
    `${argv.join(" ")} failed with status ${output.code}:\n${
      lastLines(stdout + decoder.decode(output.stderr))
    }`,
  );
}

/** Starts a prepared command; a missing program gets an error that says what to do. */
export function spawn(command: Deno.Command, program: string): Deno.ChildProcess {
  try {
    return command.spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new StasisError("unsupported", `there is no program ${program} on this machine`, {
      hint: "`deno task kernel:build` installs what the kernel and the VM need",
      cause: error,
    });
  }
}

/** Like {@link run}, but `undefined` where the program fails or does not exist. */
export async function tryRun(argv: readonly string[]): Promise<string | undefined> {
  try {
    return await run(argv);
  } catch {
    return undefined;
  }
}

/** The last lines of a program's output: what an error message shows of it. */
export function lastLines(text: string, count = 20): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/** SHA-256 over parts, none of which can run into the next one; the first 16 hex digits. */
export async function hashOf(parts: readonly string[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 16);
}

/** Whether there is something of that name. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
