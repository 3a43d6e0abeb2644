/**
 * Collecting garbage where much of it has just become so.
 *
 * @module
 */
import { trimHeap } from "./linux/libc_ffi.ts";

/** From so many tasks and threads on it is worth its time: some ten milliseconds for a thousand. */
const MANY = 1500;

/** After so many tasks of many something is collected again. */
const AMONG = 500;

/** Whether a tree is so large that it matters what is kept of it. @param count how many tasks and threads there are */
export function isMany(count: number): boolean {
  return count >= MANY;
}

/** As {@link collectGarbage}, after every so many of something. @param index which of them is next */
export function collectAmong(count: number, index: number): void {
  if (index > 0 && index % AMONG === 0) collectGarbage(count);
}

/**
 * Has V8 collect its garbage now, if a tree is so large that it matters: by itself V8 lets half as much garbage come
 * together as there is in use, and what is collected while it is still marking stays until the next time. Only where V8
 * lets programs ask for it, as the installed command has it (`--expose-gc`). What has become free of libc's heap, where
 * buffers are, goes back to the kernel.
 *
 * @param count how many tasks and threads there are
 */
export function collectGarbage(count: number): void {
  if (!isMany(count)) return;
  (globalThis as { readonly gc?: () => void }).gc?.();
  trimHeap();
}
