/**
 * Files of `/proc` of tasks that are gone, which a tree has open or works in: they are opened, and gone to, while there
 * is a task of that id. It ends before anybody runs.
 *
 * @module
 */
import { AT_FDCWD } from "../linux/fcntl.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { DeadTaskFile } from "./ghosts.ts";

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
