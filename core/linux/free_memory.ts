/**
 * How much memory is free on this machine, and how much may be promised.
 *
 * @module
 */

/** What can be had without anything being swapped out, in bytes, as the kernel estimates it (proc_meminfo(5)). */
export function freeMemory(): bigint {
  const kilobytes = /^MemAvailable: +(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/meminfo"))?.[1];
  return BigInt(kilobytes ?? 0) * 1024n;
}

/**
 * Whether more memory may be promised than there is (vm.overcommit_memory other than 2, see proc(5)). Otherwise a
 * copy-on-write image of a process counts as much as the process does, and mmap(2) and fork(2) may fail for that.
 */
export function mayOvercommit(): boolean {
  return Deno.readTextFileSync("/proc/sys/vm/overcommit_memory").trim() !== "2";
}
