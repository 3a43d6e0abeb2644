/**
 * How much memory is free on this machine.
 *
 * @module
 */

/** What can be had without anything being swapped out, in bytes, as the kernel estimates it (proc_meminfo(5)). */
export function freeMemory(): bigint {
  const kilobytes = /^MemAvailable: +(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/meminfo"))?.[1];
  return BigInt(kilobytes ?? 0) * 1024n;
}
