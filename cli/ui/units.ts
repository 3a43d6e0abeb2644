/**
 * Quantities as people read them.
 *
 * @module
 */

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** A number of bytes: `512 B`, `1.5 KiB`, `12 MiB`. */
export function formatBytes(bytes: bigint | number): string {
  let value = Number(bytes);
  if (value < 1024) return `${value} B`;
  let unit = -1;
  do {
    value /= 1024;
    unit++;
  } while (value >= 1023.5 && unit < UNITS.length - 1);
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[unit]}`;
}

/** A time in milliseconds: `3.4 ms`, `250 ms`, `1.25 s`. */
export function formatMs(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** A count with its noun: `1 thread`, `2 threads`, `3 processes`. */
export function plural(count: number | bigint, one: string, many = `${one}s`): string {
  return `${count} ${Number(count) === 1 ? one : many}`;
}
