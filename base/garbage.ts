/**
 * Collecting garbage where much of it has just become so.
 *
 * @module
 */

/** From so many tasks and threads on it is worth its time: some ten milliseconds for a thousand. */
const MANY = 1500;

/**
 * Has V8 collect its garbage now, if a tree is so large that it matters: by itself V8 lets half as much garbage come
 * together as there is in use, and what is collected while it is still marking stays until the next time. Only where V8
 * lets programs ask for it, as the installed command has it (`--expose-gc`).
 *
 * @param count how many tasks and threads there are
 */
export function collectGarbage(count: number): void {
  if (count >= MANY) (globalThis as { readonly gc?: () => void }).gc?.();
}
