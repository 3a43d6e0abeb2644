/**
 * Which checkpoints of a store are needed no more. Pure.
 *
 * @module
 */

/**
 * Finds the checkpoints that can go: all but the newest, and but what those need.
 *
 * @param checkpoints their numbers, in any order
 * @param keep how many are to be kept, at least
 * @param latest one that is kept in any case: where a restore would begin
 * @param needs the numbers of those that one cannot be restored without, itself left out
 * @returns in ascending order
 */
export function superfluous(
  checkpoints: readonly number[],
  keep: number,
  latest: number | undefined,
  needs: (number: number) => readonly number[],
): number[] {
  const ascending = [...checkpoints].sort((a, b) => a - b);
  const kept = new Set<number>();
  const open = ascending.slice(Math.max(0, ascending.length - keep));
  if (latest !== undefined) open.push(latest);
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (kept.has(one)) continue;
    kept.add(one);
    open.push(...needs(one));
  }
  return ascending.filter((number) => !kept.has(number));
}
