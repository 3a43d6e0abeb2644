/**
 * What makes a process of its own of a seed that is to go on when this process is dead.
 *
 * @module
 */
import type { SyscallProgram } from "./program.ts";
import { PR_SET_PDEATHSIG } from "./seed.ts";

const ALL_DESCRIPTORS = 0xffffffff;
const SCHED_FIFO = 1, HIGHEST = 99;
/** More than any kernel knows; those that are not there do not matter. */
const ALL_PROCESSORS = new Uint8Array(1024).fill(0xff);

/**
 * Adds calls to the program of a seed: a session of its own, nothing open, no directory kept busy, no end when its maker
 * ends, and the highest priority, if that may be had: targets that wait for it use the processors meanwhile, and may be
 * real-time ones.
 */
export function standApart(program: SyscallProgram): void {
  program.call("setsid");
  const priority = program.data(Uint8Array.of(HIGHEST, 0, 0, 0), "sched_param");
  program.try("sched_setscheduler", 0, SCHED_FIFO, priority);
  program.try("sched_setaffinity", 0, ALL_PROCESSORS.length, ALL_PROCESSORS);
  program.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0);
  program.call("chdir", "/");
  program.call("close_range", 0, ALL_DESCRIPTORS, 0);
}
