/**
 * Whether something held outside of the tree can be given back at restore.
 *
 * @module
 */
import {
  externalHint,
  LAST_STANDARD_STREAM,
  type OutsideHolders,
  resourceName,
  sharedHint,
} from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { nameOf } from "../../core/linux/procfs/mod.ts";
import type { Problem } from "../../base/errors.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/** The names of what is a standard stream of any task: these have something to stand in for them. */
export function standardStreams(tasks: readonly Task[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const task of tasks) {
    for (const descriptor of task.descriptors) {
      if (descriptor.fd <= LAST_STANDARD_STREAM) names.add(resourceName(descriptor));
    }
  }
  return names;
}

/**
 * Says why an external descriptor cannot be given back.
 *
 * @param standard {@link standardStreams} of the tree
 */
export function externalProblem(
  descriptor: Descriptor,
  standard: ReadonlySet<string>,
  holders: OutsideHolders,
): Finding | undefined {
  const what = `its descriptor ${descriptor.fd} (${descriptor.link.text})`;
  const name = resourceName(descriptor);
  if (standard.has(name)) return undefined;
  const [pid] = holders.of(descriptor);
  const holder = pid === undefined ? "" : `: ${nameOf(pid)} has it, too`;
  return {
    what: `${what} is no standard stream, and is held outside of the tree${holder}`,
    hint: descriptor.link.kind === "pipe" ? sharedHint(name) : externalHint(name),
  };
}
