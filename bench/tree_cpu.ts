/**
 * The processor time that a tree has had: what a tool makes a tree do for it counts too.
 *
 * @module
 */

/**
 * The processor time of all threads that some processes have now, in milliseconds.
 *
 * `/proc/PID/task/TID/schedstat` counts nanoseconds; the ticks of `stat` would count most of a thousand short
 * lives as nothing.
 */
export function treeCpuMs(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`);
      nanoseconds += Number(text.slice(0, text.indexOf(" ")));
    }
  }
  return nanoseconds / 1e6;
}
