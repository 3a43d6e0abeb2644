/**
 * The plugin contract: hooks around whole operations, for what concerns neither images nor tasks: scripts of the user,
 * others who are to know.
 *
 * @module
 */
import type { StasisError } from "../../base/errors.ts";

type Awaitable<T> = T | Promise<T>;

/** An operation. */
export interface Operation {
  /** The image directory that is made, or read. */
  readonly directory: string;
  /** Cancels it. */
  readonly signal: AbortSignal;
}

/** A checkpoint. */
export interface CheckpointOperation extends Operation {
  /** The root of the tree. */
  readonly pid: number;
}

/** Hooks around operations. They run in the order of the plugins, those that come after in reverse. */
export interface OperationHooks {
  /** The checkpoint has not begun. By what this throws it fails. */
  beforeCheckpoint?(operation: CheckpointOperation): Awaitable<void>;
  /**
   * The checkpoint is over: the tree runs on, or has ended. Called wherever the hook before was.
   *
   * @param failure by what it has failed; otherwise it has made its directory, which stays whatever this throws
   */
  afterCheckpoint?(
    operation: CheckpointOperation,
    failure: StasisError | undefined,
  ): Awaitable<void>;
  /** Nothing has been made yet. By what this throws the restore fails. */
  beforeRestore?(operation: Operation): Awaitable<void>;
  /** The tree is whole and does not run yet. By what this throws the restore fails, and nothing is left. */
  beforeRun?(operation: Operation, pid: number): Awaitable<void>;
  /**
   * The restore is over: the tree runs, or nothing is left. Called wherever the hook before it was.
   *
   * @param pid the root, unless the restore has failed
   * @param failure by what it has failed; otherwise the tree runs on whatever this throws
   */
  afterRestore?(
    operation: Operation,
    pid: number | undefined,
    failure: StasisError | undefined,
  ): Awaitable<void>;
}
