/**
 * Which thread made a timer on the CPU clock of "the thread that made it": the kernel does not tell. But the clock goes
 * on while that thread runs, and all others of its process stand still.
 *
 * @module
 */
import type { FrozenTask, FrozenThread } from "../../core/plugin.ts";
import { type ScratchData, SyscallProgram } from "../../core/remote/program.ts";
import { itimerspec } from "./encode.ts";

/** So many calls take some microseconds, and the clock counts nanoseconds. */
const CALLS = 20;

/**
 * Finds the thread whose running makes less of what is left of a timer; undefined where none does: the timer is off,
 * or fires any moment, or its thread has ended.
 *
 * @param id the timer's
 * @param first the thread that is tried first
 * @param check throws where the operation is cancelled: each thread has to run by itself
 */
export function findMaker(
  task: FrozenTask,
  id: number,
  first: number,
  check: () => void,
): number | undefined {
  const threads = task.threads.toSorted((a, b) =>
    Number(b.tid === first) - Number(a.tid === first)
  );
  for (const thread of threads) {
    check();
    const change = run(thread, id);
    if (change.isOff) return undefined;
    if (change.after < change.before) return thread.tid;
  }
  return undefined;
}

/** What is left of a timer before and after a thread has run, in nanoseconds. */
function run({ task, tracee }: FrozenThread, id: number) {
  const program = new SyscallProgram("the search for who made a timer");
  const ask = () => {
    const left = program.output(itimerspec.size, "itimerspec");
    program.call("timer_gettime", id, left);
    return left;
  };
  const first = ask();
  for (let call = 0; call < CALLS; call++) program.call("getpid");
  const second = ask();
  const reply = task.remote.run(program, tracee);
  const nanoseconds = (left: ScratchData): bigint => {
    const { valueSec, valueNsec } = itimerspec.read(reply.output(left));
    return valueSec * 1_000_000_000n + valueNsec;
  };
  const before = nanoseconds(first);
  return { before, after: nanoseconds(second), isOff: before === 0n };
}
