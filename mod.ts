/**
 * Stasis: checkpoint/restore of Linux process trees, also of those that use Syscall User Dispatch.
 *
 * @example Checkpoint a process and bring it back
 * ```ts no-run
 * import { checkpoint, restore } from "stasis";
 * const saved = await checkpoint(1234, { directory: "images" });
 * console.log(`${saved.tasks} tasks, frozen for ${saved.frozenMs} ms`);
 * const tree = await restore("images");
 * console.log(await tree.wait());
 * ```
 *
 * @module
 */
import { around } from "./core/around.ts";
import { Cancellation, onEndingSignals } from "./core/cancellation.ts";
import { tryAgain } from "./core/checkpoint/try_again.ts";
import { type CheckpointResult, runCheckpoint } from "./core/checkpoint/checkpoint.ts";
import type { MemoryTracking } from "./core/checkpoint/memory_tracking.ts";
import { surveyOnly, type Verdict } from "./core/checkpoint/survey_only.ts";
import { runHook } from "./core/hooks.ts";
import { absolutePath } from "./images/path.ts";
import type { EventListener } from "./base/events.ts";
import { withJson } from "./base/json.ts";
import { asStasisError } from "./base/thrown.ts";
import type { OperationOptions, Plugin } from "./core/plugin.ts";
import { SMALL_FILES } from "./core/linux/small_files.ts";
import { crc32 } from "./core/linux/x86_64/crc32_ffi.ts";
import { makePlan } from "./core/restore/make_plan.ts";
import { RestorePlan } from "./core/restore/plan.ts";
import { type RestoredTree, runPlan } from "./core/restore/restore.ts";
import { wasTakenMeanwhile } from "./core/restore/taken_ids.ts";
import { ImageDirectory } from "./images/mod.ts";
import { DEFAULT_PLUGINS, WARMED_UP_PLUGINS } from "./plugins/default.ts";
import { PSTREE } from "./images/kinds/core.ts";
import { mergeParents as merge } from "./plugins/memory/merge_parents.ts";
import { terminalInfos } from "./plugins/tty/image.ts";
import { shellTerminalUse as terminalUse } from "./plugins/tty/shell_job.ts";
import type { TerminalUse } from "./core/restore/shell_terminal.ts";

export { check, type CheckReport } from "./check.ts";
export type { CheckpointResult } from "./core/checkpoint/checkpoint.ts";
export { MemoryTracking } from "./core/checkpoint/memory_tracking.ts";
export type { Verdict } from "./core/checkpoint/survey_only.ts";
export { onEndingSignals } from "./core/cancellation.ts";
export { type ErrorCode, EXIT_STATUS, type Problem, StasisError } from "./base/errors.ts";
export type { EventListener, Phase, StasisEvent } from "./base/events.ts";
export * from "./core/plugin.ts";
export type { RestorePlan } from "./core/restore/plan.ts";
export type { PlannedTask } from "./core/restore/planned_task.ts";
export type { PlannedThread } from "./core/restore/planned_thread.ts";
export { type Argument, type Call, SyscallProgram } from "./core/remote/program.ts";
export type { ProgramReply } from "./core/remote/program_reply.ts";
export type { Descriptor, Task } from "./core/checkpoint/task.ts";
export type { RemoteAddress } from "./core/linux/address.ts";
export type { OwnedDescriptor } from "./core/linux/pidfd.ts";
export type { FdIdentity, FdInfo, FdLink, TaskStatus, Vma } from "./core/linux/procfs/mod.ts";
export type { Siginfo } from "./core/linux/siginfo.ts";
export type { Registers } from "./core/linux/x86_64/registers.ts";
export type { SyscallName } from "./core/linux/x86_64/syscalls.ts";
export type {
  CallResult,
  ScratchData,
  ScratchInteger,
  ScratchPart,
} from "./core/remote/program.ts";
export type { RemoteTask } from "./core/remote/remote_task.ts";
export type { Tracee } from "./core/remote/tracee.ts";
export type { ListedCall, Rescuer } from "./core/remote/undo.ts";
export type { TreeClocks } from "./core/restore/tree_clocks.ts";
export type { Ending, RestoredTree } from "./core/restore/restore.ts";
export { ShellTerminal, type TerminalUse, waitAsJob } from "./core/restore/shell_terminal.ts";
export type { PrivilegeVerdict } from "./core/verdicts.ts";
export { findTaken, type TakenId } from "./core/restore/taken_ids.ts";
export { fd_types, type fdinfo_entry, type file_entry } from "./images/gen/descriptors_pb.ts";
export type { mm_entry, vma_entry } from "./images/gen/memory_pb.ts";
export type { core_entry } from "./images/gen/thread_pb.ts";
export type { pstree_entry } from "./images/gen/tree_pb.ts";
export { defineImageKind, defineRawImageKind, ImageDirectory } from "./images/mod.ts";
export type { ImageKind, ImageWriter, RawImageKind } from "./images/mod.ts";
export { type Kinds, kinds } from "./images/kinds.ts";
export { directoriesOf } from "./images/layers.ts";
export { readMemory } from "./plugins/memory/saved_memory.ts";
export { replaceEnvironment } from "./plugins/memory/replace_environment.ts";
export {
  type Action,
  actionScript,
  type AroundCommands,
  aroundCommands,
} from "./plugins/action_script/mod.ts";
export { DEFAULT_PLUGINS } from "./plugins/default.ts";

/** What every operation takes. */
export interface Settings {
  /** Plugins of your own, besides the built-in ones. */
  readonly plugins?: readonly Plugin[];
  /**
   * Cancels the operation; a target runs on as it was. If absent, SIGINT, SIGTERM, SIGHUP and SIGQUIT cancel a
   * checkpoint or restore while it goes on, as they do the command.
   */
  readonly signal?: AbortSignal;
  /** Is told what happens. */
  readonly onEvent?: EventListener;
  /** Further options. */
  readonly options?: OperationOptions;
}

/** What {@link checkpoint} takes. */
export interface CheckpointSettings extends Settings {
  /** The image directory to make; it must not exist, or be empty. */
  readonly directory: string;
  /**
   * The image directory of a checkpoint of the same tree before this one, which Stasis has made: pages that are in it,
   * or in its own parents, as they are now are not written again. It is needed for a restore then.
   */
  readonly parent?: string;
  /**
   * Tells what has changed since the checkpoint `parent`, if it was there for that too: then only that is looked at.
   * Without it all memory is compared with the parent's.
   */
  readonly tracking?: MemoryTracking;
  /** How many checkpoints may need each other, 128 if absent; if there are so many, this one is whole again. */
  readonly longestChain?: number;
  /** Let the tree run on; otherwise it is killed once its images are safe. */
  readonly leaveRunning?: boolean;
  /** Leave the tree stopped, as by SIGSTOP. */
  readonly leaveStopped?: boolean;
}

/** What {@link restore} takes. */
export interface RestoreSettings extends Settings {
  /**
   * Is told the pid of the root when the tree is whole and does not run yet. What it throws fails the restore, and
   * nothing is left.
   */
  readonly beforeRun?: (pid: number) => void;
  /**
   * Makes the plan anew. Where somebody has one of the tree's ids just when a task is to get it, all is taken back, and
   * the tree is built once more by a new plan: what the old one found may have changed by then. Not needed where the
   * source is a directory; where the source is a plan and this is absent the restore fails with a `conflict`.
   */
  readonly replan?: () => Promise<RestorePlan>;
}

/** So often a tree is built at most, where somebody has one of its ids for a moment. */
const MOST_BUILDS = 3;

function common(settings: Settings) {
  return {
    plugins: [...DEFAULT_PLUGINS, ...settings.plugins ?? []],
    signal: settings.signal ?? new AbortController().signal,
    listener: settings.onEvent ?? (() => {}),
  };
}

/** What cancels an operation: what was given for that, or the signals that end a program. */
function cancelledBy(
  signal: AbortSignal | undefined,
): Disposable & { readonly signal: AbortSignal } {
  if (signal !== undefined) return { signal, [Symbol.dispose]: () => {} };
  const controller = new AbortController();
  const listening = onEndingSignals(() => controller.abort());
  return { signal: controller.signal, [Symbol.dispose]: () => listening[Symbol.dispose]() };
}

/**
 * Checkpoints the process tree below a process.
 *
 * @param pid the root of the tree
 * @returns what was saved, and how long the tree stood still
 * @throws {StasisError} the tree then runs on as it was, and no directory is left
 */
export async function checkpoint(
  pid: number,
  settings: CheckpointSettings,
): Promise<CheckpointResult> {
  const { directory, parent, longestChain, tracking, options } = settings;
  const { leaveRunning = options?.leaveRunning, leaveStopped = options?.leaveStopped } = settings;
  using cancelling = cancelledBy(settings.signal);
  const { signal } = cancelling;
  const request = {
    ...common(settings),
    signal,
    warmedUp: WARMED_UP_PLUGINS,
    pid,
    directory,
    parent,
    longestChain,
    tracking,
    options: { ...options, leaveRunning: leaveRunning || leaveStopped, leaveStopped },
  };
  const operation = { pid, directory: absolutePath(directory), signal };
  const result = await around(request.plugins, {
    before: (hooks) => hooks.beforeCheckpoint?.(operation),
    after: (hooks, _, failure) => hooks.afterCheckpoint?.(operation, failure),
    note: noteTo(request.listener),
    keepsResult: false,
  }, () => tryAgain(() => runCheckpoint(request), signal));
  return withJson(result);
}

/** What {@link mergeParents} takes. */
export interface MergeSettings {
  /** Cancels it: the directory is as it was then. */
  readonly signal?: AbortSignal;
}

/**
 * Makes an image directory with parents whole by itself, so that they can be deleted. Checkpoints after it stay what
 * they are. It is replaced at one moment; who reads it just then may fail.
 *
 * @returns whether it had parents
 * @throws {StasisError} it is as it was then: `bad-image` where the chain is broken or damaged, `unsupported` where CRIU
 *   has made it or the file system cannot exchange two directories, `io`
 */
export async function mergeParents(
  directory: string,
  { signal = new AbortController().signal }: MergeSettings = {},
): Promise<boolean> {
  const cancellation = new Cancellation(signal);
  return await reportOne(merge(directory, () => cancellation.breathe()));
}

/**
 * Tells what stands against a checkpoint of each of some processes, with all their descendants. Touches none of them.
 *
 * @param pids the roots of the trees
 * @returns in their order, without those that are gone
 */
export async function survey(
  pids: readonly number[],
  settings: Omit<Settings, "onEvent"> = {},
): Promise<Verdict[]> {
  const { plugins, signal } = common(settings);
  const cancellation = new Cancellation(signal);
  const options = settings.options ?? {};
  return await reportOne(surveyOnly({ pids, plugins, options, cancellation }));
}

async function reportOne<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw asStasisError(error);
  }
}

/**
 * Plans a restore without doing anything: the plan can be printed, edited, and handed to {@link restore}.
 *
 * @param directory the image directory
 * @throws {StasisError} with everything that stands against it
 */
export async function planRestore(
  directory: string,
  settings: Settings = {},
): Promise<RestorePlan> {
  const options = settings.options ?? {};
  const { plugins, signal, listener } = common(settings);
  const cancellation = new Cancellation(signal);
  return await reportOne(makePlan({ directory, plugins, listener, options, cancellation }));
}

/**
 * Restores a tree.
 *
 * @param source an image directory, or a plan of it
 * @returns the running tree, whose root is a child of this process
 * @throws {StasisError} nothing is left of the tree then
 */
export async function restore(
  source: string | RestorePlan,
  settings: RestoreSettings = {},
): Promise<RestoredTree> {
  using cancelling = cancelledBy(settings.signal);
  const { signal } = cancelling;
  const replan = source instanceof RestorePlan
    ? settings.replan
    : () => planRestore(source, { ...settings, signal });
  let plan = source instanceof RestorePlan
    ? source
    : await planRestore(source, { ...settings, signal });
  const given = { ...common(settings), signal };
  const operation = { directory: plan.images.path, signal };
  const beforeRun = async (pid: number): Promise<void> => {
    for (const plugin of given.plugins) {
      await runHook(plugin, () => plugin.around?.beforeRun?.(operation, pid));
    }
    settings.beforeRun?.(pid);
  };
  return await around<RestoredTree>(given.plugins, {
    before: (hooks) => hooks.beforeRestore?.(operation),
    after: (hooks, tree, failure) => hooks.afterRestore?.(operation, tree?.pid, failure),
    note: noteTo(given.listener),
    // Whoever restores a tree is to wait for it.
    keepsResult: true,
  }, async () => {
    for (let builds = 1;; builds++) {
      try {
        return await runPlan(plan, { ...given, beforeRun });
      } catch (error) {
        if (replan === undefined || builds === MOST_BUILDS || !wasTakenMeanwhile(error)) {
          throw error;
        }
        plan = await replan();
      }
    }
  });
}

function noteTo(listener: EventListener): (text: string) => void {
  return (text) => listener({ kind: "note", plugin: "core", text });
}

/**
 * How the tree of a plan had the terminal of the shell that it was started from: for {@link ShellTerminal.give}.
 *
 * @returns undefined where its root is in a session of the tree
 */
export function shellTerminalUse(plan: RestorePlan): TerminalUse | undefined {
  return terminalUse(plan.images.readList(PSTREE, null), terminalInfos(plan.images));
}

/**
 * Opens an image directory for reading.
 *
 * @throws {StasisError} `bad-image` if it is none
 */
export function openImages(directory: string): ImageDirectory {
  return ImageDirectory.open(directory, { crc32, small: SMALL_FILES });
}
