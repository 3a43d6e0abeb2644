/**
 * What `/proc` tells of the seccomp of every thread of a tree.
 *
 * @module
 */
import { processTree } from "./processes.ts";

/** `Seccomp:` and `Seccomp_filters:` of every thread of a process and its descendants, by tid. */
export function seccompOf(root: number): Map<number, string> {
  const found = new Map<number, string>();
  for (const pid of processTree(root)) {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
      found.set(Number(name), [...status.matchAll(/^Seccomp.*$/gm)].join(" "));
    }
  }
  return found;
}
