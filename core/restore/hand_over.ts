/**
 * What the seed gets of this process: the service descriptors, by which the tasks that come from it find everything.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import { OwnedDescriptor } from "../linux/pidfd.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import type { RestorePlan } from "./plan.ts";
import type { ServiceFile } from "./plan_files.ts";

const RLIMIT_NOFILE = 7;
const ALL_DESCRIPTORS = 0xffffffff;
/** So many descriptors are handed to the seed by one program. */
const HAND_OVER = 100;

/** Hands the seed its service descriptors, and closes everything else that it inherited from here. */
export function handOver(
  remote: RemoteTask,
  plan: RestorePlan,
  files: readonly ServiceFile[],
): void {
  const pidfds = new SyscallProgram("the way to this process");
  const limit = pidfds.output(16);
  pidfds.call("prlimit64", 0, RLIMIT_NOFILE, 0, limit);
  const raised = pidfds.output(16);
  pidfds.call("prlimit64", 0, RLIMIT_NOFILE, limitOf(plan), raised);
  const opened = pidfds.call("pidfd_open", Deno.pid, 0);
  const pidfd = remote.run(pidfds).result(opened);
  // In pieces: here and there only so many files may be open, and a program be so long.
  for (let at = 0; at < files.length; at += HAND_OVER) {
    handOverSome(remote, pidfd, files.slice(at, at + HAND_OVER));
  }
  const program = new SyscallProgram("the other descriptors");
  program.call("close_range", 0, plan.services.first - 1, 0);
  program.call("close_range", plan.services.end, ALL_DESCRIPTORS, 0);
  remote.run(program);
}

/** Hands a few service descriptors over, by the seed's pidfd of this process. */
function handOverSome(remote: RemoteTask, pidfd: bigint, files: readonly ServiceFile[]): void {
  using opened = new DisposableStack();
  const program = new SyscallProgram("the service descriptors");
  for (const { path, descriptor, flags, number } of files) {
    const fd = descriptor ?? opened.use(openHere(path as string, flags)).fd;
    const got = program.call("pidfd_getfd", pidfd, fd, 0);
    program.call("dup3", got, number, 0);
    program.call("close", got);
  }
  remote.run(program);
}

/**
 * The limit that the seed gets: as many descriptors as this process may have at most, and more only if that takes
 * them and it may.
 */
function limitOf(plan: RestorePlan): Uint8Array {
  const limit = new BigUint64Array(2);
  syscall(SYSCALLS.prlimit64, 0, RLIMIT_NOFILE, 0, limit);
  const hard = limit[1] as bigint;
  const needed = BigInt(plan.descriptorEnd);
  limit[0] = limit[1] = needed > hard ? needed : hard;
  return new Uint8Array(limit.buffer);
}

function openHere(path: string, flags: number): OwnedDescriptor {
  const result = syscall(SYSCALLS.openat, -100, cString(path), flags | 0o2000000, 0);
  if (!isErrno(result)) return new OwnedDescriptor(Number(result));
  const errno = errnoName(-result);
  throw new StasisError("io", `${path} cannot be opened: ${errno}`, { errno });
}
