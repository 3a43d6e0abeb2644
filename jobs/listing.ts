/**
 * What a store's directory says of the store. Pure.
 *
 * A store is a directory that belongs to one job. It holds
 *
 * | name | what |
 * |---|---|
 * | `1`, `2`, ... | checkpoints: image directories, the highest number is the newest |
 * | `1.json`, ... | how each was made ({@link Made} of `records.ts`) |
 * | `latest` | a symbolic link to the newest |
 * | `job.json` | whose store it is |
 * | `running.json` | the process that the job is, as long as it runs |
 * | `new.json` | files that it has opened since the latest checkpoint, and how long they were then |
 * | `end.json` | how the job has ended |
 * | `lock` | locked by whoever saves to it |
 *
 * and hidden names of what is being made or deleted.
 *
 * @module
 */

/** The link to the newest checkpoint. */
export const LATEST = "latest";

/** A checkpoint that is to be deleted, or a file that was to take the place of another one, is hidden under such a name. */
const LEFTOVER = /^\.(\d+\.deleted|[a-z\d]+(\.json)?\.new)$/;

/** What is in a store. */
export interface StoreListing {
  /** The numbers of the checkpoints, in ascending order. */
  readonly checkpoints: readonly number[];
  /** The one that `latest` leads to; undefined where it leads to none of them. */
  readonly latest: number | undefined;
  /** The number of the next one: none of before is used again, also where that is gone. */
  readonly next: number;
  /** Names of what somebody who was killed had begun to delete or to write. */
  readonly leftovers: readonly string[];
}

/** The name under which a checkpoint is deleted. */
export function deletedName(number: number): string {
  return `.${number}.deleted`;
}

/** The name of a file until it takes its place. */
export function newName(name: string): string {
  return `.${name}.new`;
}

/** The number of a checkpoint by its name; undefined where it is none. */
export function checkpointNumber(name: string): number | undefined {
  const number = /^[1-9]\d{0,14}$/.test(name) ? Number(name) : undefined;
  return number;
}

/**
 * Reads the listing of a store.
 *
 * @param names of all that is in the directory
 * @param link what `latest` leads to; undefined where there is no such link
 */
export function readListing(names: Iterable<string>, link: string | undefined): StoreListing {
  const checkpoints: number[] = [];
  const leftovers: string[] = [];
  let last = 0;
  for (const name of names) {
    const number = checkpointNumber(name);
    if (number !== undefined) checkpoints.push(number);
    else if (LEFTOVER.test(name)) leftovers.push(name);
    const [, digits] = /^\.?(\d+)(?:\.json|\.deleted)?$/.exec(name) ?? [];
    if (digits !== undefined) last = Math.max(last, checkpointNumber(digits) ?? 0);
  }
  checkpoints.sort((a, b) => a - b);
  const named = link === undefined ? undefined : checkpointNumber(link.replace(/\/$/, ""));
  return {
    checkpoints,
    latest: named !== undefined && checkpoints.includes(named) ? named : undefined,
    next: Math.max(last, named ?? 0) + 1,
    leftovers,
  };
}
