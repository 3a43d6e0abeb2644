/**
 * Which descriptor numbers are for use while a tree is being built: such that none of its tasks has. Pure.
 *
 * @module
 */

/** Numbers from `first` up to, but not including, `end`. */
export interface NumberRange {
  readonly first: number;
  readonly end: number;
}

/** The standard streams are never among them, whatever the tasks have. */
const LOWEST = 3;

/** Where nothing stands against it they begin here at the lowest, so that a plan reads well. */
const USUAL = 64;

/**
 * Numbers in front of them that stay free, for what is opened only for a moment: open(2) gives the lowest free
 * number, and that must not be one which is meant for a certain service descriptor.
 */
export const SPARE = 256;

/**
 * Finds room for service descriptors: above all numbers that the tasks have, or, if there is too little, in the
 * widest gap between them.
 *
 * @param used the numbers of all tasks, in any order, perhaps more than once
 * @param limit how many descriptors a task may have here
 * @param wanted how many service numbers will do for certain
 * @returns a range of at least `wanted` numbers above, or else the widest there is, which may be empty
 */
export function findServiceRange(
  used: Iterable<number>,
  limit: number,
  wanted: number,
): NumberRange {
  const sorted = [...new Set(used)].sort((a, b) => a - b);
  const highest = sorted.at(-1) ?? -1;
  const above = { first: Math.max(highest + 1, USUAL) + SPARE, end: limit };
  if (size(above) >= wanted) return above;
  let widest: NumberRange = above;
  let start = LOWEST;
  for (const number of [...sorted, limit]) {
    const gap = { first: start + SPARE, end: Math.min(number, limit) };
    if (size(gap) > size(widest)) widest = gap;
    start = Math.max(start, number + 1);
  }
  return widest;
}

function size({ first, end }: NumberRange): number {
  return Math.max(0, end - first);
}
