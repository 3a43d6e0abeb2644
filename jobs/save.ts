/**
 * Saving a tree once: by this process, or, where the tree has a pid namespace of its own, by another one inside.
 *
 * @module
 */
import { type ErrorCode, EXIT_STATUS, StasisError } from "../base/errors.ts";
import { mayOvercommit } from "../core/linux/free_memory.ts";
import { syscall } from "../core/linux/libc_ffi.ts";
import { readChildren, unlessGone } from "../core/linux/procfs/mod.ts";
import { SIG } from "../core/linux/signals.ts";
import { SYSCALLS } from "../core/linux/x86_64/syscalls.ts";
import {
  checkpoint,
  type EventListener,
  type MemoryTracking,
  type OperationOptions,
  type Plugin,
} from "../mod.ts";
import { LONGEST_CHAIN } from "./chain.ts";
import { commonStreams } from "./streams.ts";

/** The tree of a job. */
export interface JobTree {
  /** Its root, as it is called here. */
  readonly pid: number;
  /** What the root is called in the tree: the same, unless that has a pid namespace of its own. */
  readonly innerPid: number;
}

/** How a job is saved. */
export interface SaveSettings {
  readonly plugins: readonly Plugin[];
  readonly options: OperationOptions;
  /** Options of the command line that say the same: for the command that is run inside of a namespace. */
  readonly words: readonly string[];
  readonly listener: EventListener;
}

/** What is saved, and where. */
export interface Save {
  readonly tree: JobTree;
  /** The image directory to make. */
  readonly directory: string;
  /** That of the checkpoint before, to which what has not changed is left. */
  readonly parent: string | undefined;
  /** Tells what has changed since then. */
  readonly tracking: MemoryTracking;
  /** Whether the tree runs on; otherwise it is ended. */
  readonly leaveRunning: boolean;
  /** Cancels. */
  readonly signal: AbortSignal;
  /** Starts a process that saves in place of this one, and is to keep others from the store. */
  shared<T>(start: () => T): T;
}

/** What a save has made. */
export interface SaveResult {
  readonly bytes: number;
  readonly frozenMs: number;
  readonly totalMs: number;
  readonly tasks: number;
  readonly threads: number;
}

/**
 * Saves a tree. A parent that cannot be used is not: then all is saved.
 *
 * @throws {StasisError} the tree then runs on as it was
 */
export async function saveTree(save: Save, settings: SaveSettings): Promise<SaveResult> {
  try {
    return await saveOnce(save, settings);
  } catch (error) {
    const isOfParent = save.parent !== undefined && error instanceof StasisError &&
      (error.code === "bad-image" || error.code === "usage");
    if (!isOfParent) throw error;
    const text = `all is saved, for the checkpoint before cannot be used: ${error.message}`;
    settings.listener({ kind: "note", plugin: "core", text });
    return await saveOnce({ ...save, parent: undefined }, settings);
  }
}

async function saveOnce(save: Save, settings: SaveSettings): Promise<SaveResult> {
  const { tree, directory, parent, tracking, leaveRunning, signal } = save;
  const { plugins, options, words, listener } = settings;
  const external = [...options.external ?? [], ...commonStreams(tree.pid)];
  if (tree.pid !== tree.innerPid) {
    const given = external.flatMap((name) => ["--external", name]);
    return await saveInside(tree, [
      ...["-D", directory, ...parent === undefined ? [] : ["--parent", parent]],
      ...leaveRunning ? ["--leave-running"] : [],
      ...words,
      ...given,
    ], save);
  }
  const { bytes, frozenMs, totalMs, tasks, threads } = await checkpoint(tree.pid, {
    directory,
    parent,
    tracking,
    longestChain: 2 * LONGEST_CHAIN,
    leaveRunning,
    plugins,
    signal,
    onEvent: listener,
    options: {
      ...options,
      external,
      snapshot: options.snapshot ?? mayOvercommit(),
      rollbackFiles: true,
      manageCgroups: "ignore",
    },
  });
  return { bytes: Number(bytes), frozenMs, totalMs, tasks, threads };
}

/** Runs `stasis checkpoint` in the pid namespace of a tree, and in its mount namespace, where `/proc` shows its ids. */
async function saveInside(
  { pid, innerPid }: JobTree,
  words: readonly string[],
  { signal, shared }: Pick<Save, "signal" | "shared">,
): Promise<SaveResult> {
  signal.throwIfAborted();
  let child: Deno.ChildProcess;
  try {
    const command = new Deno.Command("nsenter", {
      args: [
        ...["--target", String(pid), "--pid", "--mount", "--"],
        ...[Deno.execPath(), "run", "--quiet", "--allow-all", "--no-check", ...configWords()],
        ...[Deno.mainModule, "checkpoint", String(innerPid), "--json", "--rollback-files"],
        ...["--manage-cgroups=ignore", ...words],
      ],
      stdout: "piped",
      stderr: "null",
      stdin: "null",
    });
    child = shared(() => command.spawn());
  } catch (cause) {
    throw new StasisError("io", "nsenter, which enters the job's pid namespace, cannot be run", {
      hint: "install util-linux",
      cause,
    });
  }
  const cancel = () => cancelInside(child.pid);
  signal.addEventListener("abort", cancel);
  try {
    const { code, stdout } = await child.output();
    return readOutcome(code, new TextDecoder().decode(stdout));
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/**
 * Ends what nsenter(1) has started in a pid namespace: it waits for that, and hands no signal on.
 *
 * @param pid that of nsenter
 */
export function cancelInside(pid: number): void {
  const children = unlessGone(() => readChildren(pid), []);
  // Before it has started anything there is only nsenter, and where it has ended nobody.
  for (const one of children.length > 0 ? children : [pid]) syscall(SYSCALLS.kill, one, SIG.TERM);
}

/** What says what names mean in a checkout, and what "stasis" is for plugins of an installed command. */
function configWords(): string[] {
  const config = Deno.mainModule.endsWith(".ts")
    ? new URL("../deno.json", import.meta.url)
    : new URL("deno.json", Deno.mainModule);
  return ["--no-lock", "--config", decodeURIComponent(config.pathname)];
}

/** Reads what `stasis checkpoint --json` has printed. @throws {StasisError} what it says there */
export function readOutcome(status: number, text: string): SaveResult {
  let printed: Partial<SaveResult> & {
    readonly error?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string };
  };
  try {
    printed = JSON.parse(text);
  } catch (cause) {
    throw new StasisError("internal", `the checkpoint inside ended with status ${status}`, {
      cause,
    });
  }
  const { error, bytes = 0, frozenMs = 0, totalMs = 0, tasks = 0, threads = 0 } = printed;
  if (error === undefined) return { bytes, frozenMs, totalMs, tasks, threads };
  const code = Object.hasOwn(EXIT_STATUS, error.code) ? error.code : "internal";
  throw new StasisError(code, error.message, { ...error });
}
