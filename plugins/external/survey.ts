/**
 * Whether something held outside of the tree can be given back at restore.
 *
 * @module
 */
import {
  isTerminal,
  type OutsideHolders,
  resourceName,
} from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import type { Problem } from "../../base/errors.ts";
import { decodeUserDevice } from "../../images/device.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/** Standard input, output and error. */
export const LAST_STANDARD_STREAM = 2;

/** Whether it is the master of pseudoterminals: /dev/ptmx, device 5:2. */
function isMaster({ identity }: Descriptor): boolean {
  const { major, minor } = decodeUserDevice(identity.rdev);
  return major === 5 && minor === 2;
}

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
  task: Task,
  pids: ReadonlySet<number>,
  standard: ReadonlySet<string>,
  holders: OutsideHolders,
): Finding | undefined {
  const what = `its descriptor ${descriptor.fd} (${descriptor.link.text})`;
  const name = resourceName(descriptor);
  if (isTerminal(descriptor)) {
    if (isMaster(descriptor)) {
      return {
        what: `${what} is the master of a pseudoterminal`,
        hint: "terminals within the tree cannot be saved yet: close it before the checkpoint",
      };
    }
    const { session, ttyNr } = task.stat;
    // /proc/PID/stat has the device as the system call interface does (new_encode_dev()).
    if (pids.has(session) && ttyNr !== 0 && ttyNr === descriptor.identity.rdev) {
      return {
        what: `${what} is the controlling terminal of session ${session}, which is in the tree`,
        hint: "controlling terminals cannot be saved yet: start the program from a shell and " +
          "checkpoint it alone, or start it with setsid",
      };
    }
  }
  if (standard.has(name)) return undefined;
  const [pid] = holders.of(descriptor);
  const holder = pid === undefined ? "" : `, whose other end task ${pid} has`;
  return {
    what: `${what} is held outside of the tree${holder}, and is no standard stream`,
    hint:
      `name it with --external '${name}', and at restore what stands in for it with --inherit-fd`,
  };
}
