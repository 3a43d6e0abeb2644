/**
 * Landlock (landlock(7)): a program that has shut itself out of parts of the file system. The kernel shows it nowhere,
 * but what it does: such a program may not do what the modes of files allow everybody. It is tried with two files that
 * a program which shuts itself out of nearly everything has hardly made an exception for; one that has is not found out.
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";

const EACCES = -13n;

/**
 * What is opened and how, and the modes by which everybody may. With O_DIRECT neither of them is opened in the end,
 * which the kernel finds out after it has asked the security modules (do_dentry_open() of `fs/open.c`): so the task
 * has no descriptor more at any time.
 */
const TRIED = [
  { path: "/", flags: O.RDONLY | O.DIRECTORY | O.DIRECT, modes: { "/": 0o5 } },
  {
    path: "/dev/null",
    flags: O.WRONLY | O.DIRECT,
    modes: { "/": 0o1, "/dev": 0o1, "/dev/null": 0o2 },
  },
] as const;

/** Has a task try. @param tid a thread of it that lives @returns what tells whether it was denied something that everybody may */
export function askConfinement(
  tid: number,
  program: SyscallProgram,
): (reply: ProgramReply) => boolean {
  const tried = TRIED.map(({ path, flags, modes }) => {
    const fd = program.try("openat", AT_FDCWD, path, flags | O.CLOEXEC, 0);
    // Some file system may let a directory be opened so.
    program.try("close", fd);
    return { fd, modes };
  });
  return (reply) =>
    tried.some(({ fd, modes }) =>
      reply.result(fd) === EACCES &&
      Object.entries(modes).every(([path, wanted]) => allows(`/proc/${tid}/root${path}`, wanted))
    );
}

/** Whether everybody else may do what the bits of a mode say. */
function allows(path: string, wanted: number): boolean {
  try {
    return ((Deno.statSync(path).mode ?? 0) & wanted) === wanted;
  } catch {
    // It is not there, or not for this process: then nothing can be told.
    return false;
  }
}
