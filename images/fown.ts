/**
 * Owners of files: who gets SIGIO and its like.
 *
 * @module
 */

import type { fown_entry } from "./gen/file_owner_pb.ts";

/** The fields of a `fown_entry`: `pidType` is F_OWNER_TID 0, F_OWNER_PID 1 or F_OWNER_PGRP 2 (fcntl(2)). */
export type FileOwner = Pick<fown_entry, "uid" | "euid" | "signum" | "pidType" | "pid">;

/** The owner of a file that has none: every image of an open file has an owner all the same. */
export const NO_OWNER: FileOwner = { uid: 0, euid: 0, signum: 0, pidType: 0, pid: 0 };

/** Whether there is nothing to restore. A signal may be set (F_SETSIG) where no owner is. */
export function isUnowned(owner: FileOwner): boolean {
  return owner.pid === 0 && owner.signum === 0;
}
