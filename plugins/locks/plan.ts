/**
 * The calls that take a task's locks again. None waits: whoever has such a lock now is told of.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { F, O } from "../../core/linux/fcntl.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { planOwner } from "../../core/restore/owner.ts";
import type { FileOwner } from "../../images/fown.ts";
import type { file_lock_entry } from "../../images/gen/file_locks_pb.ts";
import { BREAKING, describeLock, KIND, TYPE, wholeLease } from "./lock.ts";

/** `struct flock` (`include/uapi/asm-generic/fcntl.h`); `l_whence` 0 is SEEK_SET. */
const Flock = defineStruct("flock", 32, {
  type: [0, "u16"],
  start: [8, "i64"],
  len: [16, "i64"],
});

const LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4;

/** What is known of the file of a lock. */
export interface LockedFile {
  /** What it is called in messages. */
  readonly name: string;
  /** Who has such a lock on it, or what else stands against it; undefined if nobody is seen. */
  holder(lock: file_lock_entry): string | undefined;
}

/** What to tell where a lock cannot be had. */
export function lockConflict(
  lock: file_lock_entry,
  name: string,
  holder: string | undefined,
): { readonly pid: number; readonly what: string; readonly hint: string } {
  const what = `task ${lock.pid} cannot have its ${describeLock(lock)} on ${name} again`;
  return {
    pid: lock.pid,
    what: `${what}: ${holder ?? "somebody who is not seen from here"} ${
      lock.flag === KIND.LEASE ? "uses the file" : "has one that excludes it"
    }`,
    hint: "have it release that, or end it, and restore once more",
  };
}

function explain(lock: file_lock_entry, file: LockedFile) {
  return (errno: string): StasisError | undefined => {
    if (errno !== "EAGAIN" && errno !== "EACCES") return undefined;
    const { pid, what, hint } = lockConflict(lock, file.name, file.holder(lock));
    return new StasisError("conflict", what, { pid, errno, hint });
  };
}

/** Adds the call that takes a lock, when the task closes no descriptor any more. */
export function planLock(program: SyscallProgram, lock: file_lock_entry, file: LockedFile): void {
  const { flag, type, fd, start, len } = lock;
  if (flag === KIND.FLOCK) {
    const operation = (type === TYPE.WRITE ? LOCK_EX : LOCK_SH) | LOCK_NB;
    program.explained(explain(lock, file), "flock", fd, operation);
    return;
  }
  const range = program.data(Flock.make({ type, start, len }), describeLock(lock));
  const command = flag === KIND.OFD ? F.OFD_SETLK : F.SETLK;
  program.explained(explain(lock, file), "fcntl", fd, command, range);
}

/**
 * Adds the calls that take a lease.
 *
 * F_SETLEASE makes the caller the owner who is told, where there is none (`lease_setup()` of `fs/locks.c`); what
 * the program had comes back behind it. A lease that is being taken back is taken whole and asked back by an open(2)
 * that does not wait; the signal of that has been sent already, so nobody is told meanwhile. The time that the
 * program has for it (`/proc/sys/fs/lease-break-time`) begins anew.
 *
 * @param proc a descriptor of /proc
 * @param flags of the open file description
 */
export function planLease(
  program: SyscallProgram,
  lock: file_lock_entry,
  file: LockedFile,
  { proc, flags, fown }: {
    readonly proc: () => number;
    readonly flags: number;
    readonly fown: FileOwner;
  },
): void {
  const { type, fd } = lock;
  const rest = type & ~BREAKING;
  const isBreaking = type !== rest;
  const isWriter = (flags & O.ACCMODE) !== O.RDONLY;
  const whole = wholeLease(type, isWriter);
  program.explained(explain(lock, file), "fcntl", fd, F.SETLEASE, whole);
  if (isBreaking || fown.pid === 0) program.call("fcntl", fd, F.SETOWN, 0);
  if (!isBreaking) return;
  const how = (rest === TYPE.READ ? O.RDONLY : O.WRONLY) | O.NONBLOCK | O.CLOEXEC;
  program.try("openat", proc(), `self/fd/${fd}`, how, 0);
  program.expect(BigInt(rest), "fcntl", fd, F.GETLEASE, 0);
  planOwner(program, fd, fown);
}
