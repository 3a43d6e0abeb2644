/**
 * Whether an open file can be opened again by its path.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import type { Problem } from "../../core/errors.ts";
import type { FileLock } from "../../core/linux/procfs/mod.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "./kinds.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/**
 * Says why a file with a path cannot be opened again by it.
 *
 * The text of the link alone does not tell: a name may really end in " (deleted)", another file may have
 * taken the name, or a mount may hide it. What stat(2) says of the path and of the descriptor does.
 */
export function pathProblem(descriptor: Descriptor): Finding | undefined {
  const { link, identity, fd } = descriptor;
  const what = `descriptor ${fd}`;
  if (!link.text.startsWith("/")) {
    return {
      what: `its ${what} has a path outside of this tool's root directory: ${link.text}`,
      hint: "run the tool in the same root directory and mount namespace as the program",
    };
  }
  const thread = /^\/proc\/(\d+)\/task\/(\d+)(\/|$)/.exec(link.text);
  if (thread !== null && thread[1] !== thread[2]) {
    return {
      what: `its ${what} is a file of one thread, ${link.text}, which cannot be opened at restore`,
      hint: "threads are restored after files: close it before the checkpoint",
    };
  }
  const found = statPath(link.text, identity.mode);
  if (found !== undefined && isSame(found, descriptor)) return undefined;
  if (identity.links === 0 || link.deleted && (identity.mode & S_IFMT) === S_IFDIR) {
    return {
      what: `its ${what} is a deleted file, ${link.path}, whose contents no path leads to`,
      hint: "deleted files cannot be saved yet: close it before the checkpoint",
    };
  }
  if (found === undefined) {
    return {
      what: link.deleted
        ? `its ${what} is a file whose name ${link.path} was deleted while other names remain`
        : `its ${what} is ${link.text}, which does not exist any more`,
      hint: "give the file its name back (ln), or close it before the checkpoint",
    };
  }
  return {
    what: `its ${what} is ${link.text}, but that path leads to another file now`,
    hint: "it was replaced or something is mounted over it: undo that, or close the descriptor",
  };
}

function statPath(path: string, mode: number): Deno.FileInfo | undefined {
  try {
    return (mode & S_IFMT) === S_IFLNK ? Deno.lstatSync(path) : Deno.statSync(path);
  } catch {
    return undefined;
  }
}

function isSame(found: Deno.FileInfo, { identity }: Descriptor): boolean {
  if (found.dev !== identity.dev) return false;
  if (found.ino === identity.ino) return true;
  // Inodes of /proc/PID come and go with their cache entries (proc_pid_make_inode() of fs/proc/base.c).
  return found.dev === procDevice() &&
    ((found.mode ?? 0) & S_IFMT) === (identity.mode & S_IFMT);
}

let proc: number | undefined;

function procDevice(): number {
  return proc ??= Deno.statSync("/proc").dev;
}

/** Says that a file has locks or leases, which its path does not bring back. */
export function lockProblem(descriptor: Descriptor): Finding | undefined {
  const [lock] = descriptor.info.locks;
  if (lock === undefined) return undefined;
  return {
    what: `its descriptor ${descriptor.fd} (${descriptor.link.text}) has a ${describeLock(lock)}`,
    hint: "locks cannot be saved yet: release it before the checkpoint",
  };
}

function describeLock({ type, mode, start, end }: FileLock): string {
  const kind = mode === "WRITE" ? "write" : "read";
  const range = start === 0n && end === undefined
    ? ""
    : ` on bytes ${start} to ${end ?? "the end"}`;
  switch (type) {
    case "LEASE":
    case "DELEG":
      return `${kind} lease (F_SETLEASE)`;
    case "FLOCK":
      return `${kind} lock (flock)`;
    case "OFDLCK":
      return `${kind} lock of the open file (F_OFD_SETLK)${range}`;
    default:
      return `${kind} lock (${type}, F_SETLK)${range}`;
  }
}
