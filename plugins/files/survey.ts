/**
 * Whether an open file can be opened again by its path, or saved itself.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { findFile, type Lost, type Whereabouts } from "../../core/checkpoint/file_location.ts";
import { readStatus, unlessGone } from "../../core/linux/procfs/mod.ts";
import { type Problem, StasisError } from "../../base/errors.ts";
import type { OperationOptions } from "../../core/plugin.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/** The number of the descriptor that a file of `/proc` tells of (`fdinfo/N`); undefined of all others. */
export function descriptorNumber(path: string): number | undefined {
  const number = /^\/proc\/\d+\/fdinfo\/(\d+)$/.exec(path)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Where the file of a descriptor is to be found at restore. */
export function locate(descriptor: Descriptor, options: OperationOptions): Whereabouts | Lost {
  const { liveTid, fd, link, identity } = descriptor;
  return findFile(
    `/proc/${liveTid}/fd/${fd}`,
    link.text,
    `its descriptor ${fd}`,
    options,
    identity,
  );
}

/** Where the file of a descriptor that the survey found is. */
export function located(descriptor: Descriptor, options: OperationOptions): Whereabouts {
  // Most names tell by themselves; those of files of tasks that are gone do not.
  const { deleted, text } = descriptor.link;
  if (!deleted && !text.startsWith("/proc/")) return { path: text };
  const found = locate(descriptor, options);
  if ("path" in found) return found;
  // Somebody outside of the tree has done something to it meanwhile.
  const { what, hint } = found.problem;
  throw new StasisError("unsupported", `task ${descriptor.pid}: ${what}`, {
    pid: descriptor.pid,
    hint,
  });
}

/** Whether a file of `/proc` is of another thread than the first of its process; threads have directories of their own. */
function isOfThread(path: string): boolean {
  const [, owner, thread] = /^\/proc\/(\d+)(?:\/task\/(\d+))?(?:\/|$)/.exec(path) ?? [];
  if (owner === undefined) return false;
  if (thread !== undefined && thread !== owner) return true;
  const tid = Number(owner);
  return unlessGone(() => readStatus(tid).tgid, tid) !== tid;
}

/** Says why a file with a path cannot be opened again by it, nor saved itself. */
export function pathProblem(
  descriptor: Descriptor,
  options: OperationOptions,
): Finding | undefined {
  const { link, fd } = descriptor;
  const what = `descriptor ${fd}`;
  if (!link.text.startsWith("/")) {
    return {
      what: `its ${what} has a path outside of this tool's root directory: ${link.text}`,
      hint: "run the tool in the same root directory and mount namespace as the program",
    };
  }
  if (isOfThread(link.text)) {
    return {
      what: `its ${what} is a file of one thread, ${link.text}, which cannot be opened at restore`,
      hint: "threads are restored after files: close it before the checkpoint",
    };
  }
  const isOwn = descriptorNumber(link.text) !== undefined &&
    link.text.startsWith(`/proc/${descriptor.pid}/`);
  if (!isOwn && /^\/proc\/\d+\/(task\/\d+\/)?(fd|fdinfo|map_files)\/./.test(link.text)) {
    return {
      what:
        `its ${what} is a file of one descriptor or mapping, ${link.text}, which cannot be opened at restore`,
      hint: "descriptors and memory are restored after files: close it before the checkpoint",
    };
  }
  const found = locate(descriptor, options);
  return "problem" in found ? found.problem : undefined;
}
