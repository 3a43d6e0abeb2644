/**
 * The program of a job: found as a shell finds it, and started so that it can be saved before it has done anything.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { sleep } from "../core/linux/libc_ffi.ts";
import { readCmdline, readStat, unlessGone } from "../core/linux/procfs/mod.ts";
import { spawnProgram } from "../core/linux/spawn.ts";

/** Waits, stopped, and becomes the program then. */
const BEGINNING = 'kill -STOP "$$"; exec "$@"';
const SHELL = "/bin/sh";

/** What the launcher of an installed stasis keeps the user's `DENO_DIR` in: `scripts/install.ts`. */
const FORMER = "STASIS_DENO_DIR";

/** The environment of a job: without what is this command's own. Pure. */
export function jobEnvironment(own: Readonly<Record<string, string>>): Record<string, string> {
  const { [FORMER]: former, ...rest } = own;
  if (former === undefined) return rest;
  const { DENO_DIR: _, ...others } = rest;
  return former === "" ? others : { ...others, DENO_DIR: former };
}

/**
 * Looks whether there is a program.
 *
 * @param name with a slash in it a path, otherwise a name on the PATH
 * @throws {StasisError} `usage` where there is none
 */
export function requireProgram(name: string): void {
  const places = name.includes("/")
    ? [name]
    : (Deno.env.get("PATH") ?? "/usr/bin:/bin").split(":").map((one) => `${one || "."}/${name}`);
  if (places.some(isExecutable)) return;
  throw new StasisError("usage", `there is no program ${name}`, {
    hint: name.includes("/") ? "look whether it may be executed" : "it is on no place of the PATH",
  });
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** The words of the shell that waits. */
function waitingWords(command: readonly string[]): string[] {
  return ["sh", "-c", BEGINNING, "sh", ...command];
}

/** Whether a process is one that waits, stopped, to become a program. @throws {StasisError} `no-such-task` */
export function waitsToBegin(pid: number): boolean {
  const { state } = readStat(pid);
  // Also in the hands of whoever saves it: that one has been killed, too.
  if (state !== "T" && state !== "t") return false;
  const words = waitingWords([]);
  return words.every((word, index) => readCmdline(pid)[index] === word);
}

/**
 * Starts a program that waits, stopped, before it has done anything: SIGCONT makes it begin.
 *
 * @param leads whether it leads a process group, as a job of a shell, or a session
 * @returns its pid
 * @throws {StasisError} `io`
 */
export async function startStopped(
  command: readonly string[],
  leads: "group" | "session",
): Promise<number> {
  const pid = spawnProgram({
    path: SHELL,
    words: waitingWords(command),
    environment: jobEnvironment(Deno.env.toObject()),
    leads,
  });
  for (;;) {
    const state = unlessGone(() => readStat(pid).state, "X");
    if (state === "T") return pid;
    if (state === "Z" || state === "X") {
      throw new StasisError("io", `${SHELL}, which starts the program, has been killed`, { pid });
    }
    await sleep(1);
  }
}
