/**
 * Pidfds of tasks that end before the tree is born.
 *
 * @module
 */
import { SyscallProgram } from "../remote/program.ts";

/** A pidfd of a task that ends before the tree is born. */
export interface EndedPidfd {
  /** Its number in the seed. */
  readonly service: number;
  /** For pidfd_open(2). */
  readonly flags: number;
}

/** Has the seed keep pidfds of a task. */
export function keepPidfds(pid: number, pidfds: readonly EndedPidfd[]): SyscallProgram {
  const program = new SyscallProgram("pidfds of a task that ends");
  for (const { service, flags } of pidfds) {
    const fd = program.call("pidfd_open", pid, flags);
    program.call("dup3", fd, service, 0);
    program.call("close", fd);
  }
  return program;
}
