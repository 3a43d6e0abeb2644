/**
 * How a file of `/proc/PID` is read: one place that turns what the kernel answers about a task that is
 * gone, or that may not be looked at, into a {@link StasisError}.
 *
 * Texts keep every byte, whether it is UTF-8 or not (`base/byte_text.ts`): they hold paths and names.
 *
 * @module
 */

import { decodeBytes } from "../../../base/byte_text.ts";
import { StasisError } from "../../../base/errors.ts";
import { errnoName } from "../errno.ts";
import { readNumbers } from "../directory_numbers.ts";
import { type FileInfo, readLink, statPath } from "../files.ts";
import { readFile, readFilePieces, readFileText } from "../read_file.ts";
import { takeAhead } from "../x86_64/read_ahead_ffi.ts";

/** `/proc/PID`, or `/proc/PID/task/TID` where a thread is meant. */
export function taskPath(pid: number, tid?: number): string {
  return tid === undefined ? `/proc/${pid}` : `/proc/${pid}/task/${tid}`;
}

/**
 * The errno by name behind an error of a Deno file operation; undefined where there is none. Deno gives
 * errno values that it has no class for (ESRCH among them) in the message alone.
 */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof StasisError) return error.errno;
  if (!(error instanceof Error)) return undefined;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  if (number !== undefined) return errnoName(Number(number));
  const code = (error as Error & { readonly code?: unknown }).code;
  return typeof code === "string" ? code : undefined;
}

/** Is there such a task? A zombie is one. */
export function taskExists(pid: number, tid?: number): boolean {
  try {
    Deno.statSync(taskPath(pid, tid));
    return true;
  } catch {
    return false;
  }
}

function who(pid: number, tid?: number): string {
  return tid === undefined ? `process ${pid}` : `thread ${tid} of process ${pid}`;
}

/** Whether the kernel has a file of this name for tasks. */
function isInProc(file: string): boolean {
  try {
    return !file.includes("/") && Deno.lstatSync(`/proc/thread-self/${file}`) !== undefined;
  } catch {
    return false;
  }
}

/** What a failed operation on `path` of a task means, as the error to throw. */
export function taskError(error: unknown, path: string, pid: number, tid?: number): StasisError {
  const errno = errnoOf(error);
  const details = { pid, errno, cause: error };
  // Of one that is gone the kernel says ENOENT, ESRCH, EINVAL, or where it is a link EACCES: then
  // proc_fd_access_allowed() of fs/proc/base.c has found no task.
  if (!taskExists(pid, tid)) {
    return new StasisError("no-such-task", `there is no ${who(pid, tid)}`, details);
  }
  if (errno === "EACCES" || errno === "EPERM") {
    return new StasisError("no-privilege", `${path} may not be read (${errno})`, {
      ...details,
      hint: "run as root, or as the owner of the process with CAP_SYS_PTRACE",
    });
  }
  if (errno === "ENOENT") {
    // This process has all files that the kernel has: another one that lacks one was not there for a moment.
    return isInProc(path.slice(taskPath(pid, tid).length + 1))
      ? new StasisError("no-such-task", `there is no ${who(pid, tid)} any more`, details)
      : new StasisError("kernel-too-old", `this kernel has no ${path}`, details);
  }
  const reason = errno ?? (error instanceof Error ? error.message : String(error));
  return new StasisError("syscall", `${path} cannot be read (${reason})`, details);
}

/** Does this failure say that the task is there but has no memory any more (a zombie, a kernel thread)? */
function isWithoutMemory(error: unknown, pid: number, tid?: number): boolean {
  const errno = errnoOf(error);
  // EINVAL comes from the mount files of a zombie (fs/proc_namespace.c, mounts_open_common()).
  return (errno === "ESRCH" || errno === "EINVAL") && taskExists(pid, tid);
}

/** How often a task that is there is asked for a file that it seems not to have. */
const TRIES = 3;

/**
 * Makes an attempt to read something of a task, and another one where that task seems to be gone and is there all
 * the same: a thread has just taken the place of the first one of its process (`exchange_tids()` of
 * `kernel/pid.c`, by execve(2)).
 */
function persist<T>(read: () => T, pid: number, tid?: number): T {
  for (let tries = 1;; tries++) {
    try {
      return read();
    } catch (error) {
      const errno = errnoOf(error);
      const seems = errno === "ENOENT" || errno === "ESRCH" || errno === "EACCES";
      if (!seems || tries >= TRIES || !taskExists(pid, tid)) throw error;
    }
  }
}

/**
 * Reads one text file of a task.
 *
 * @param file Its name below the task's directory, for example `status`.
 * @returns The text; empty where the task is a zombie or a kernel thread and the file needs what such a
 * task has given up.
 * @throws StasisError `no-such-task`, `no-privilege`, `kernel-too-old` (this kernel has no such file) or
 * `syscall`.
 */
export function readTaskText(pid: number, file: string, tid?: number): string {
  const path = `${taskPath(pid, tid)}/${file}`;
  try {
    return persist(() => readFileText(path, decodeBytes), pid, tid);
  } catch (error) {
    if (isWithoutMemory(error, pid, tid)) return "";
    throw taskError(error, path, pid, tid);
  }
}

/** Like {@link readTaskText}, for files that are not text. */
export function readTaskBytes(pid: number, file: string, tid?: number): Uint8Array {
  const path = `${taskPath(pid, tid)}/${file}`;
  try {
    return persist(() => readFile(path), pid, tid);
  } catch (error) {
    if (isWithoutMemory(error, pid, tid)) return new Uint8Array(0);
    throw taskError(error, path, pid, tid);
  }
}

/**
 * Like {@link readTaskBytes}, for files that are megabytes: piece by piece.
 *
 * @param begin is called before the first piece, each time that the file is read from its beginning
 * @param take is given each piece, which is overwritten when it returns
 */
export function readTaskPieces(
  pid: number,
  file: string,
  begin: () => void,
  take: (piece: Uint8Array) => void,
): void {
  const path = `${taskPath(pid)}/${file}`;
  try {
    persist(() => {
      begin();
      readFilePieces(path, take);
    }, pid);
  } catch (error) {
    if (!isWithoutMemory(error, pid)) throw taskError(error, path, pid);
    begin();
  }
}

/**
 * Reads one symbolic link of a task (`exe`, `cwd`, `root`, `ns/mnt`).
 *
 * @returns The link's text as the kernel gives it; undefined where the task exists and has no such thing
 * (the `exe` of a kernel thread, the namespaces of a zombie).
 */
export function readTaskLink(pid: number, file: string, tid?: number): string | undefined {
  const path = `${taskPath(pid, tid)}/${file}`;
  const [ahead] = takeAhead(path) ?? [];
  if (ahead !== undefined) return decodeBytes(ahead);
  try {
    return persist(() => readLink(path), pid, tid);
  } catch (error) {
    const errno = errnoOf(error);
    if ((errno === "ENOENT" || errno === "ESRCH") && taskExists(pid, tid)) return undefined;
    throw taskError(error, path, pid, tid);
  }
}

/**
 * What stat(2) says of the file behind a link of a task (`fd/5`, `exe`, `map_files/...`), given as a whole path.
 *
 * @throws StasisError `no-such-task` where the task or the link is gone, and as {@link taskError}.
 */
export function statTaskLink(path: string): FileInfo {
  const pid = Number(/^\/proc\/(\d+)\//.exec(path)?.[1]);
  try {
    return persist(() => statPath(path), pid);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" || !taskExists(pid)) throw taskError(error, path, pid);
    // Closed or unmapped meanwhile, or a zombie by now.
    throw new StasisError("no-such-task", `${path} is gone`, {
      pid,
      errno: "ENOENT",
      cause: error,
    });
  }
}

/** The numbers among the names in a directory of a task (`task`, `fd`), ascending. */
export function readTaskNumbers(pid: number, directory: string, tid?: number): readonly number[] {
  const path = `${taskPath(pid, tid)}/${directory}`;
  try {
    return persist(() => readNumbers(path), pid, tid);
  } catch (error) {
    throw taskError(error, path, pid, tid);
  }
}

/** What `look` finds; `otherwise` where the task that it looks at is gone. */
export function unlessGone<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return otherwise;
    throw error;
  }
}

/** A content that the kernel's own code cannot write: the defect is here, or it is no procfs. */
export function malformed(file: string, what: string): StasisError {
  return new StasisError("internal", `/proc file ${file} cannot be understood: ${what}`);
}
