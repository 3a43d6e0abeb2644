/**
 * The plugin contract. Everything that has state is handled by a plugin: the core only knows phases,
 * tasks and threads. The built-in plugins use this contract and nothing more.
 *
 * A plugin is a plain object made by {@link definePlugin}. For each operation the core asks it for a fresh
 * set of hooks (`checkpoint(session)`, `restore(session)`), so what a plugin remembers from one hook to
 * the next lives in the closure of that call, and two operations never meet.
 *
 * ## A checkpoint calls, in this order
 *
 * | phase | hook | called | the target |
 * |---|---|---|---|
 * | survey | `survey` | once, and again after the freeze | runs, then stands still |
 * | survey | `copyAhead` | once, where a snapshot is made | runs, but for moments |
 * | survey | `quiesce` | once, last before the tree is stopped | runs |
 * | freeze | `stopThread` | for each thread, the moment that it has stopped | is being stopped |
 * | freeze | `examineThreads` | once, with all threads as they were found | stands still |
 * | freeze | `freezeThreads` | once, with all threads, before anything is injected | |
 * | freeze | `findInFlight` | for each task, and again for what it has found; then `survey` again | |
 * | freeze | `hold` | once, when nothing stands against the checkpoint | |
 * | dump | `collectThreads` | once: adds calls to the program of every thread | |
 * | dump | `collectTask`, `collectThread` | for each task and thread: adds calls to its program alone | |
 * | dump | what they returned | with the program's results | |
 * | dump | `descriptors[].dump` | once for each open file description | |
 * | dump | `dumpTask`, `dumpTree` | for each task; once | |
 * | pages | `pages` | once | |
 * | commit | `dumpLast` | once; the core images are written then | |
 * | commit | `conclude` | once, while the images are read back | runs on, unless it is to end |
 * | release | `end` | once, if the tree is to end | is killed |
 * | release | what the freeze hooks noted or put on the undo stack | in reverse order | runs on |
 *
 * ## A restore calls
 *
 * | phase | hook | called | may |
 * |---|---|---|---|
 * | load | `exitSignal` | for each task but the root | tell it from the images |
 * | load | `leaderStatus` | for each task that lives | tell how its first thread has ended |
 * | load | `load` | once | read images and the machine, report problems |
 * | plan | `occupies`, `numbers`, `planTree`, `planTask`, `planThread`, `descriptors[].plan` | | only add calls to programs: planning has no side effects |
 * | build | `begin` | once, before anything is made | prepare this machine |
 * | build | `bornThread` | for each thread when it is born | set ptrace options |
 * | arm | `armThread` | for each thread, when all else is done | set state by ptrace |
 * | run | `complete` | once, when the tree is whole | do what cannot be undone |
 * | any | `abandon` | once, where the restore fails from the build on | |
 * | run | `finishing` | once, when the tree is complete | name calls that do the same as `finish` |
 * | run | `finish` | once, just before the tree runs | what may fail: it is told, and the tree runs |
 *
 * `around` has hooks that are called before all of that and after it ({@link OperationHooks}).
 *
 * Hooks of different plugins run in plugin order (`after`, `before`; otherwise as listed), never at once.
 * A hook that throws ends the operation, everything is undone, and the error names the plugin.
 *
 * @module
 */
import type { ImageKind, RawImageKind } from "../images/mod.ts";
import type { CheckpointHooks, CheckpointSession } from "./contract/checkpoint.ts";
import type { OperationHooks } from "./contract/operation.ts";
import type { RestoreHooks, RestoreSession } from "./contract/restore.ts";

export type * from "./contract/checkpoint.ts";
export { fileValidationOf } from "./contract/file_validation.ts";
export type * from "./contract/operation.ts";
export { remapHint, remapPath } from "./contract/remap.ts";
export * from "./contract/restore.ts";
export type * from "./contract/session.ts";

/** A plugin. */
export interface Plugin {
  /** Its name, unique, lower case: it stands in the inventory of images that need it. */
  readonly name: string;
  /** What it saves, one line. */
  readonly description: string;
  /** The image kinds that it owns. */
  readonly images?: readonly (ImageKind | RawImageKind)[];
  /** Names of plugins whose hooks run before this one's. */
  readonly after?: readonly string[];
  /** Names of plugins whose hooks run after this one's. */
  readonly before?: readonly string[];
  /** What `stasis check` tells of this plugin's needs on this machine. Must not need privilege to fail softly. */
  check?(): readonly Feature[];
  /** Hooks around whole operations. */
  readonly around?: OperationHooks;
  /** Hooks for one checkpoint. */
  checkpoint?(session: CheckpointSession): CheckpointHooks;
  /** Hooks for one restore. */
  restore?(session: RestoreSession): RestoreHooks;
}

/**
 * Makes a plugin: checks its name and returns it as it is.
 *
 * @throws {RangeError} of a name that is no lower-case word
 *
 * @example
 * ```ts
 * import { definePlugin } from "./plugin.ts";
 * const plugin = definePlugin({ name: "mine", description: "counts threads" });
 * console.log(plugin.name); // mine
 * ```
 */
export function definePlugin(plugin: Plugin): Plugin {
  if (!/^[a-z][a-z0-9_-]*$/.test(plugin.name)) {
    throw new RangeError(
      `"${plugin.name}" is no name for a plugin: lower-case letters, digits, - _`,
    );
  }
  return plugin;
}

/** One line of `stasis check`. */
export interface Feature {
  /** What, for example `PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG`. */
  readonly name: string;
  /** Whether this kernel and this user have it. */
  readonly available: boolean;
  /** Whether Stasis is useless without it. */
  readonly required: boolean;
  /** What it is needed for, or what to do without it. */
  readonly note: string;
}
