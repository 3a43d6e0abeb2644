/**
 * Rings of io_setup(2) at a checkpoint.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import type { Task } from "../../core/checkpoint/task.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { sleep } from "../../core/linux/libc_ffi.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import type { Vma } from "../../core/linux/procfs/mod.ts";
import type { CheckpointSession, FrozenTask } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import { AioRing, isRing, isSane } from "./aio_ring.ts";

/** For how long no event must have come, and how often that is looked at, in milliseconds. */
const QUIET = 50, STEP = 10;

/** Says that a ring cannot be saved. */
export function ringProblem(
  { start, end }: Vma,
  { liveTid }: Task,
): Omit<Problem, "plugin" | "pid"> | undefined {
  if (isSane(readRing(liveTid, start), end - start)) return undefined;
  return {
    what: `its mapping ${
      start.toString(16)
    } is a part of a ring of io_setup, or one that was written to`,
    hint: "have the program end its asynchronous I/O (io_destroy) first",
  };
}

/**
 * Waits until no requests are done any more: what has been asked of a disk comes to its end while nobody asks for more.
 * Nothing tells what is under way.
 *
 * @param tasks they stand still
 */
export async function awaitRequests(
  tasks: readonly Task[],
  session: Pick<CheckpointSession, "check">,
): Promise<void> {
  const rings = tasks.flatMap((task) =>
    task.isZombie ? [] : task.vmas.filter(isRing).map(({ start }) => ({ tid: task.liveTid, start }))
  );
  if (rings.length === 0) return;
  const done = () => rings.map(({ tid, start }) => readRing(tid, start).tail).join();
  let before = done();
  for (let quiet = 0; quiet < QUIET; quiet += STEP) {
    await sleep(STEP);
    session.check();
    const now = done();
    if (now !== before) quiet = -STEP;
    before = now;
  }
}

function readRing(tid: number, start: bigint): AioRing {
  using memory = new ProcessMemory(tid);
  return AioRing.read(memory.read(remoteAddress(start), AioRing.size));
}

/**
 * Adds calls by which a task tells whether the contexts behind its rings are its own: a child has its parent's rings
 * mapped, and can do nothing with them.
 *
 * @returns takes the results; throws {StasisError} `unsupported`
 */
export function askForContexts(
  { pid, proc }: FrozenTask,
  program: SyscallProgram,
): (reply: ProgramReply) => void {
  const rings = proc.vmas.filter(isRing).map(({ start }) => {
    const now = program.data(new Uint8Array(16), "timespec");
    return [start, program.try("io_getevents", start, 0, 0, 0, now)] as const;
  });
  return (reply) => {
    const foreign = rings.find(([, asked]) => isErrno(reply.result(asked)));
    if (foreign === undefined) return;
    throw new StasisError(
      "unsupported",
      `the ring of io_setup at ${foreign[0].toString(16)} of task ${pid} is of another process`,
      {
        pid,
        hint: "a child has inherited it, and cannot use it: have it unmap it (munmap) first",
      },
    );
  };
}
