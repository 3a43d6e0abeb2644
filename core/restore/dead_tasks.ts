/**
 * Files of `/proc` of tasks that are gone, which a tree has open or works in: they are opened, and gone to, while there
 * is a task of that id. It ends before anybody runs. What was there at the checkpoint, outside of the tree, and is not
 * where the tree is restored, has gone as well.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import { PID_LIMIT } from "../../images/validate_tree.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { taskExists } from "../linux/procfs/mod.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { DeadTaskFile } from "./ghosts.ts";
import { INIT } from "./pid_namespace.ts";

const SEEK_SET = 0;

/** What opens the files of a task that is there for a moment, and keeps them under their numbers. */
export function openDead(pid: number, files: readonly DeadTaskFile[]): SyscallProgram {
  const program = new SyscallProgram(`the files of task ${pid}`);
  for (const { path, flags, pos, service } of files) {
    const fd = program.call("openat", AT_FDCWD, path, flags, 0);
    // It can be set while the task is there; a shorter file of this one is at its end.
    if (pos > 0n) program.try("lseek", fd, pos, SEEK_SET);
    program.call("dup3", fd, service, 0);
    program.call("close", fd);
  }
  return program;
}

/**
 * The entries of `files.img` that mean files of `/proc` of tasks outside of the tree which are not there any more, each
 * with the id of the task. A tree in a pid namespace of its own has nobody outside, but for the init there.
 *
 * @param pathOf the path of a regular file, by the id of its entry
 * @param inside the ids of all tasks and threads of the tree
 */
export function absentTaskIds(
  files: Iterable<file_entry>,
  pathOf: (id: number) => string,
  inside: ReadonlySet<number>,
  isApart: boolean,
): ReadonlyMap<number, number> {
  const absent = new Map<number, number>();
  for (const { id, reg } of files) {
    if (reg === undefined) continue;
    const pid = Number(/^\/proc\/(\d+)(?:\/|$)/.exec(pathOf(id))?.[1] ?? 0);
    // A number that no task can have is in no file's way.
    if (pid === 0 || pid >= PID_LIMIT || inside.has(pid)) continue;
    if (isApart ? pid !== INIT : !taskExists(pid)) absent.set(id, pid);
  }
  return absent;
}

/**
 * What stands against such files: they take tasks of those ids while the tree is born, which are there before its root.
 *
 * @param dead the ids of the tasks that are gone
 * @param needed the ids of all that are born: tasks, threads, and those that stand for dead leaders
 * @param root the id of the root
 */
export function deadTaskProblems(
  dead: Iterable<number>,
  needed: ReadonlySet<number>,
  root: number,
): Problem[] {
  return [...new Set(dead)].flatMap((pid) => {
    const why = root === INIT
      ? "nobody can have that id before the tree's root, which is process 1, is there"
      : needed.has(pid)
      ? "another one must have that id when the tree is built"
      : undefined;
    return why === undefined ? [] : [{
      pid,
      plugin: "core",
      what: `a file of /proc of this process, which is gone, is in use, and ${why}`,
      hint: "close it before the checkpoint, or go to another working directory",
    }];
  });
}
