/**
 * Whether mlockall(MCL_FUTURE) is in force, and with MCL_ONFAULT. Nothing tells (it is `def_flags` of the address
 * space, and VmLck counts what is locked already), so a page is mapped and looked at.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { Errno, errnoName, isErrno } from "../../core/linux/errno.ts";
import { MADV, MAP, PROT } from "../../core/linux/mman.ts";
import { ScratchData, type SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";

/** What `mm-extra-PID.img` has of it. */
export interface LockFuture {
  readonly lockFuture?: true;
  readonly lockFutureOnFault?: true;
}

/**
 * Adds the calls that ask.
 *
 * @returns tells the answer. @throws {StasisError} `unsupported` where there is no room for the page
 */
export function askLockFuture(
  program: SyscallProgram,
  pid: number,
): (reply: ProgramReply) => LockFuture {
  const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED;
  const where = ScratchData.SPARE_PAGE;
  const page = program.try("mmap", where, PAGE_SIZE, PROT.READ | PROT.WRITE, flags, -1, 0);
  const resident = program.output(1, "vec");
  program.try("mincore", page, PAGE_SIZE, resident);
  // Refused of locked memory, and of no other (madvise_dontneed_free_valid_vma() of mm/madvise.c).
  const freed = program.try("madvise", page, PAGE_SIZE, MADV.DONTNEED);
  return (reply) => {
    const mapped = reply.result(page);
    if (isErrno(mapped)) throw noPage(pid, mapped);
    if (reply.result(freed) !== -BigInt(Errno.EINVAL)) return {};
    const isResident = ((reply.output(resident)[0] ?? 0) & 1) === 1;
    return isResident ? { lockFuture: true } : { lockFuture: true, lockFutureOnFault: true };
  };
}

function noPage(pid: number, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError(
    "unsupported",
    `task ${pid} cannot be asked whether it locks its future memory: it can map no page (${errno})`,
    { pid, errno, hint: "raise its limits of memory (prlimit(1)), then try again" },
  );
}
