/**
 * What tasks have in common that have come from each other by fork(2) without execve(2).
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";

/** What fork(2) hands on and execve(2) sets anew: where code, stack and heap begin. */
export function ancestry({ liveStat: { startCode, startStack, startBrk } }: Task): string {
  return `${startCode} ${startStack} ${startBrk}`;
}
