/**
 * Whether a file can be made the executable of a restored task: prctl(PR_SET_MM_EXE_FILE) wants one that may still
 * be executed (prctl_set_mm_exe_file() of `kernel/sys.c`), though what runs already needs no such permission.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { Errno, isErrno } from "../../core/linux/errno.ts";
import { atPath } from "../../core/linux/files.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

const X_OK = 1, AT_EACCESS = 0x200;

/**
 * What is wrong with an executable; nothing where another look finds more than that: it is not there, say.
 *
 * @param at where it is looked at, which may be a link below /proc
 * @param path its path, for people
 */
export function executableProblem(
  at: string,
  path: string,
): Omit<Problem, "plugin" | "pid"> | undefined {
  // It asks for permissions and for a mount with MS_NOEXEC alike (do_faccessat() of `fs/open.c`).
  const result = atPath(
    at,
    (directory, rest) => syscall(SYSCALLS.faccessat2, directory, cString(rest), X_OK, AT_EACCESS),
  );
  if (!isErrno(result) || result !== -BigInt(Errno.EACCES)) return undefined;
  return {
    what:
      `its executable ${path} may not be executed any more, which its restore needs: it has lost that ` +
      "permission, or its file system is mounted with noexec",
    hint: `give it back (chmod +x ${path}, or mount -o remount,exec)`,
  };
}
