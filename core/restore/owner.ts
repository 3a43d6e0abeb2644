/**
 * Status flags and owners of open file descriptions: what every kind of file has.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import { type FileOwner, isUnowned } from "../../images/fown.ts";
import { F, O, SETFL_MASK } from "../linux/fcntl.ts";
import { defineStruct } from "../linux/struct.ts";
import type { RestoredFiles } from "../plugin.ts";
import type { Argument, SyscallProgram } from "../remote/program.ts";

/** `struct f_owner_ex` (`include/uapi/asm-generic/fcntl.h`). */
const OwnerEx = defineStruct("f_owner_ex", 8, { type: [0, "i32"], pid: [4, "i32"] });

const PR_SET_DUMPABLE = 4;
const UNCHANGED = -1;

/** The part of an entry that has status flags and owner, whatever its kind; undefined where it has none. */
export function commonPart(
  file: file_entry,
  files: RestoredFiles,
): { readonly flags?: number; readonly fown?: FileOwner } | undefined {
  // A fifo keeps everything but its buffer in the entry of its path.
  if (file.fifo !== undefined) return files.get(file.fifo.regfId || file.fifo.id).reg;
  for (const part of Object.values(file)) {
    if (part !== null && typeof part === "object" && "fown" in part) return part;
  }
  return undefined;
}

/**
 * Adds calls that set who gets the signals of a description (F_SETSIG, F_SETOWN_EX). They go to a stage in
 * which all threads exist, since a thread may be the owner.
 *
 * The kernel keeps the user ids of whoever sets the owner, and later asks with them whether the signal may
 * be sent (f_setown() and sigio_perm() of `fs/fcntl.c`); so the caller takes those ids for the call. It
 * must be root until then. Its saved user id stays 0, which gets the others and the capabilities back.
 */
export function planOwner(program: SyscallProgram, fd: Argument, fown: FileOwner): void {
  if (isUnowned(fown)) return;
  if (fown.signum !== 0) program.call("fcntl", fd, F.SETSIG, fown.signum);
  if (fown.pid === 0) return;
  planAsUser(program, fown, () => {
    const owner = OwnerEx.make({ type: fown.pidType, pid: fown.pid });
    program.call("fcntl", fd, F.SETOWN_EX, program.data(owner, `owner ${fown.pid}`));
  });
}

/** Adds calls that are made with these user ids by a caller that is root, and is root again behind them. */
export function planAsUser<T>(
  program: SyscallProgram,
  { uid, euid }: { readonly uid: number; readonly euid: number },
  calls: () => T,
): T {
  const foreign = uid !== 0 || euid !== 0;
  if (foreign) program.call("setresuid", uid, euid, UNCHANGED);
  const made = calls();
  if (foreign) {
    program.call("setresuid", 0, 0, UNCHANGED);
    // A change of the effective user id clears it (commit_creds()), and /proc/self would belong to others.
    program.call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0);
  }
  return made;
}

/**
 * Adds the call that has the kernel send signals when the description is ready (O_ASYNC). The number by
 * which it is made is the one that the signals tell (`si_fd`; fasync_helper() of `fs/fcntl.c`), so it must
 * be one that the program knows; and nobody has been told of anything before.
 */
export function planAsync(program: SyscallProgram, fd: number, flags: number): void {
  if ((flags & O.ASYNC) === 0 || (flags & O.PATH) !== 0) return;
  program.call("fcntl", fd, F.SETFL, flags & SETFL_MASK);
}

/**
 * Adds the call that gives a description its status flags, if it has not got them yet. O_ASYNC is left to
 * {@link planAsync}.
 *
 * @param flags all its `O_*` flags; those that F_SETFL cannot change are left out
 * @param has the flags that it was made with
 */
export function planStatusFlags(
  program: SyscallProgram,
  fd: Argument,
  flags: number,
  has = 0,
): void {
  const mask = SETFL_MASK & ~O.ASYNC;
  if ((flags & mask) === (has & mask)) return;
  program.call("fcntl", fd, F.SETFL, flags & mask);
}

/**
 * What may stand in an open(2) that makes a description anew. O_ASYNC is left to {@link planAsync}: open(2)
 * would only keep the bit and ask nobody for signals.
 */
export function reopenFlags(flags: number): number {
  return flags & ~(O.CREAT | O.EXCL | O.TRUNC | O.TMPFILE | O.ASYNC);
}
