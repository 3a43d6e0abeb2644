/**
 * Shows that something which failed left nothing behind: neither in the target of a checkpoint, nor on the
 * disk, nor in this process.
 *
 * @module
 */

import assert from "@std/assert";
import { dirname } from "node:path";
import { detach } from "../../core/linux/ptrace.ts";
import { SIG, signalBit } from "../../core/linux/signals.ts";
import { beginStop, finishStop } from "../../core/remote/stop_thread.ts";
import { StasisError } from "../../base/errors.ts";
import { chooseBackend } from "../../plugins/sud/choose_backend.ts";
import { getConfig } from "../../plugins/sud/ptrace_backend.ts";
import { allPids, processTree, readProcess } from "./processes.ts";
import { diffSnapshots, type Snapshot, takeSnapshot } from "./snapshot.ts";

/** What an observer sees of a tree and of the tool itself before something that is to leave no trace. */
export interface Witness {
  readonly root: number;
  readonly snapshot: Snapshot;
  /** Syscall User Dispatch by thread; empty where this kernel cannot tell, absent where nobody may look. */
  readonly dispatch?: ReadonlyMap<number, string>;
  readonly tool: ToolState;
}

/**
 * Facts that threads change by their own work which dispatch calls to themselves: SIGSYS is blocked while its
 * handler runs, and may be on its way. {@link assertUnharmed} knows them by itself.
 */
export const DISPATCHING: readonly RegExp[] = [/\/status\/(SigBlk|SigPnd)$/];

/** The same, of the threads in a snapshot that have a handler for SIGSYS. */
function dispatchingIn(snapshot: Snapshot): RegExp[] {
  return [...snapshot].flatMap(([path, value]) => {
    const [, thread] = /^(.*\/status)\/SigCgt$/.exec(path) ?? [];
    if (thread === undefined || (BigInt(`0x${value}`) & signalBit(SIG.SYS)) === 0n) return [];
    return [new RegExp(`^${thread}/(SigBlk|SigPnd)$`)];
  });
}

/** What this process holds. */
export interface ToolState {
  /** Its descriptors: number to what they lead to. */
  readonly descriptors: ReadonlyMap<string, string>;
  /** Its children, zombies too. */
  readonly children: ReadonlySet<number>;
}

/**
 * Looks at a tree.
 *
 * @param dispatch whether to look at Syscall User Dispatch, for which every thread is stopped for a moment
 */
export function witness(root: number, { dispatch = true } = {}): Witness {
  return {
    root,
    snapshot: takeSnapshot(root),
    dispatch: dispatch ? dispatchOf(root) : undefined,
    tool: toolState(),
  };
}

/**
 * Looks again: everything must be as it was.
 *
 * @param ignore facts that the subject changes by its own work, in addition to what signals of dispatch do
 */
export function assertUnharmed(before: Witness, ignore: readonly RegExp[] = []): void {
  const after = witness(before.root, { dispatch: before.dispatch !== undefined });
  const own = [...ignore, ...dispatchingIn(before.snapshot)];
  assert.deepEqual(diffSnapshots(before.snapshot, after.snapshot, { ignore: own }), []);
  assert.deepEqual(after.dispatch, before.dispatch, "Syscall User Dispatch");
  assertNothingHeld(before.tool);
}

/** What this process holds now. */
export function toolState(): ToolState {
  const descriptors = new Map<string, string>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const link = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (!/^\/proc\/\d+\/fd$/.test(link)) descriptors.set(name, link);
    } catch {
      // The one by which the directory itself was read.
    }
  }
  const children = allPids().filter((pid) => readProcess(pid)?.ppid === Deno.pid);
  return { descriptors, children: new Set(children) };
}

/** This process must hold nothing that it did not hold before: no descriptor, no child, no zombie. */
export function assertNothingHeld(before: ToolState): void {
  const after = toolState();
  const opened = [...after.descriptors].filter(([fd]) => !before.descriptors.has(fd));
  assert.deepEqual(opened, [], "descriptors were left open in the tool");
  const born = [...after.children].filter((pid) => !before.children.has(pid));
  assert.deepEqual(born.map(readProcess), [], "children were left to the tool");
}

/** The configuration of every thread of a tree, as text. Each thread is stopped for a moment. */
export function dispatchOf(root: number): Map<number, string> {
  const found = new Map<number, string>();
  if (chooseBackend().name !== "ptrace") return found;
  for (const pid of processTree(root)) {
    if (readProcess(pid)?.state === "Z") continue;
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const tid = Number(name);
      if (!beginStop(tid, 0n)) continue;
      if (finishStop(tid, pid, 0n) === undefined) continue;
      try {
        const { mode, selector, offset, len } = getConfig(tid);
        found.set(tid, `${mode} ${selector.toString(16)} ${offset.toString(16)} ${len}`);
      } finally {
        detach(tid);
      }
    }
  }
  return found;
}

/** The StasisError that something must fail with. */
export async function failureOf(operation: Promise<unknown>): Promise<StasisError> {
  try {
    await operation;
  } catch (error) {
    if (error instanceof StasisError) return error;
    throw error;
  }
  throw new Error("it succeeded, and was to fail");
}

/** A directory for the images of one test, deleted with all that is in it. */
export class ImageRoom implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "stasis-images-" });
  #count = 0;

  /** A path where nothing is yet. */
  fresh(): string {
    return `${this.path}/images-${++this.#count}`;
  }

  /** Nothing may be left of a checkpoint that failed: neither the directory nor its hidden precursor. */
  assertAbsent(directory: string): void {
    const beside = [...Deno.readDirSync(dirname(directory))].map(({ name }) => name);
    const left = beside.filter((name) =>
      `${dirname(directory)}/${name}` === directory || name.includes(".partial-")
    );
    assert.deepEqual(left, [], "a failed checkpoint left something on the disk");
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Whether a process, thread or zombie has this id. */
export function isTaken(id: number): boolean {
  try {
    Deno.statSync(`/proc/${id}`);
    return true;
  } catch {
    return false;
  }
}
