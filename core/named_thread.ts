/**
 * What is said where somebody names a thread that is not the first of its process: only whole processes are saved.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";

/**
 * @param tid the thread
 * @param tgid its process
 * @param command what was to be done with it: `checkpoint`
 */
export function namedThread(tid: number, tgid: number, command: string): StasisError {
  return new StasisError("unsupported", `${tid} is a thread of process ${tgid}`, {
    pid: tid,
    hint: `threads are saved with their process: ${command} ${tgid}`,
  });
}
