/**
 * A task while it is being built.
 *
 * @module
 */
import type { RemoteTask } from "../remote/remote_task.ts";
import type { Tracee } from "../remote/tracee.ts";
import type { PlannedTask } from "./planned_task.ts";

/** A task that is being built. */
export interface BuiltTask {
  readonly pid: number;
  readonly remote: RemoteTask;
  /** By tid, the leader first. */
  readonly threads: Map<number, Tracee>;
  /** Absent for zombies and helpers. */
  readonly plan?: PlannedTask;
}
