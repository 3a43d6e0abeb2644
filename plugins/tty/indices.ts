/**
 * Numbers of ptys. Nobody can ask for one: the kernel gives the lowest that is free (devpts_new_index() of
 * `fs/devpts/inode.c`). So masters are opened in ascending order, with others in between that are closed again. Pure.
 *
 * @module
 */

/** So many are opened to be closed again at most: a number beyond is not worth it. */
const MOST_FILLERS = 512;

/** One master to open, in order: the pty with this index, or undefined for one that only takes a number. */
export type Opening = number | undefined;

/**
 * Plans in which order masters are opened.
 *
 * @param wanted the indices that the tree's ptys had, each once
 * @param taken those that are taken here
 * @returns every wanted one once; those that cannot have their numbers come last, and get others
 */
export function openings(wanted: readonly number[], taken: ReadonlySet<number>): Opening[] {
  const order: Opening[] = [];
  const late: number[] = [];
  let next = 0;
  let fillers = 0;
  for (const index of [...wanted].sort((a, b) => a - b)) {
    const between: undefined[] = [];
    let at = next;
    for (; at < index && fillers + between.length <= MOST_FILLERS; at++) {
      if (!taken.has(at)) between.push(undefined);
    }
    if (taken.has(index) || at < index || fillers + between.length > MOST_FILLERS) {
      late.push(index);
      continue;
    }
    order.push(...between, index);
    fillers += between.length;
    next = index + 1;
  }
  return [...order, ...late];
}
