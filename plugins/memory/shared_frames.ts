/**
 * Pages that several tasks have in common, copy-on-write as fork(2) leaves them: the same frame of memory at the same
 * address. Pure.
 *
 * @module
 */
import { PAGE_SIZE } from "../../core/linux/address.ts";
import type { Run } from "./runs.ts";

/** Adjacent pages, each of which the same tasks have in common. */
export interface SharedRun extends Run {
  /** Their indices, ascending, two at the least. */
  readonly tasks: readonly number[];
}

/** The bits in the upper half of an entry of `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst). */
const PRESENT = 1 << 31, FILE = 1 << 29, EXCLUSIVE = 1 << 24, FRAME = 0x7fffff;

/** Pages of a window, by their numbers in it. */
export interface Part {
  readonly from: number;
  /** The first one behind it. */
  readonly to: number;
}

/** Whether there is any private page that somebody else has mapped too, in parts of a window: {@link readFrames}. */
export function hasShared(entries: Uint32Array, parts: readonly Part[]): boolean {
  for (const { from, to } of parts) {
    for (let word = 2 * from + 1; word < 2 * to; word += 2) {
      if (isShared(entries[word] as number)) return true;
    }
  }
  return false;
}

/** @param high the upper half of an entry */
function isShared(high: number): boolean {
  return (high & (PRESENT | FILE | EXCLUSIVE)) === PRESENT;
}

/**
 * The frames of private pages that somebody else has mapped too; 0 for all others, and where nobody may know.
 *
 * @param entries of `/proc/PID/pagemap`, of each page of the window two words, the lower half first
 * @param again the same, read when those of all tasks had been read once. A page may be moved to another frame, and
 *   its frame be another page's, while the tasks stand still: what was and is the same in two of them is one page.
 * @param frames is filled, an element a page, where it is in the parts
 * @param parts what is looked at: the zero page looks like one that is shared, and is nobody's content
 * @returns whether there are any
 */
export function readFrames(
  entries: Uint32Array,
  again: Uint32Array,
  frames: Float64Array,
  parts: readonly Part[],
): boolean {
  let some = false;
  for (const { from, to } of parts) {
    for (let page = from, word = 2 * from; page < to; page++, word += 2) {
      const low = entries[word] as number, high = entries[word + 1] as number;
      if (!isShared(high) || low !== again[word] || high !== again[word + 1]) continue;
      const frame = (high & FRAME) * 2 ** 32 + low;
      frames[page] = frame;
      some ||= frame !== 0;
    }
  }
  return some;
}

/** So many frames are told apart at one address; who has another one has it for itself. */
const MOST_FRAMES = 64;

/** Finds the frame that most tasks have at an address. Keeps its lists, since it is asked for each page. */
class Majority {
  readonly #frames = new Float64Array(MOST_FRAMES);
  readonly #counts = new Uint32Array(MOST_FRAMES);

  /** The frame that most have, of those that two have at the least; 0 where there is none. */
  of(frames: readonly Float64Array[], page: number): number {
    let different = 0;
    for (const { [page]: frame = 0 } of frames) {
      if (frame === 0) continue;
      let at = 0;
      while (at < different && this.#frames[at] !== frame) at++;
      if (at === different) {
        if (at === MOST_FRAMES) continue;
        this.#frames[at] = frame;
        this.#counts[at] = 0;
        different++;
      }
      (this.#counts[at] as number)++;
    }
    let best = 0, most = 1;
    for (let at = 0; at < different; at++) {
      const count = this.#counts[at] as number;
      if (count <= most) continue;
      most = count;
      best = this.#frames[at] as number;
    }
    return best;
  }
}

/**
 * Appends the runs of pages that several tasks have in common. Where some share one frame at an address and others
 * another one, the frame counts that most of them have.
 *
 * @param runs behind which they come
 * @param start the address of the first page
 * @param frames of each task, two at the least, all of one length: {@link readFrames}
 * @param tasks the index of each, ascending
 */
export function appendSharedRuns(
  runs: SharedRun[],
  start: bigint,
  frames: readonly Float64Array[],
  tasks: readonly number[],
): void {
  const majority = new Majority();
  const pages = frames[0]?.length ?? 0;
  let first = 0;
  /** Of each task whether it has the pages from `first` on; undefined where nobody shares. */
  let members: boolean[] | undefined;
  for (let page = 0; page <= pages; page++) {
    const frame = page < pages ? commonFrame(frames, page, majority) : 0;
    if (members !== undefined) {
      if (frame !== 0 && haveFrame(frames, page, frame, members)) continue;
      const sharing = tasks.filter((_, at) => members?.[at]);
      append(runs, start + BigInt(first) * PAGE_SIZE, BigInt(page - first) * PAGE_SIZE, sharing);
    }
    first = page;
    members = frame === 0 ? undefined : frames.map((own) => own[page] === frame);
  }
}

/** The frame that counts at an address; 0 where nobody shares. */
function commonFrame(frames: readonly Float64Array[], page: number, majority: Majority): number {
  const frame = frames[0]?.[page] as number;
  for (let at = 1; at < frames.length; at++) {
    if (frames[at]?.[page] !== frame) return majority.of(frames, page);
  }
  // As it is nearly everywhere.
  return frame;
}

/** Whether just these tasks have a frame. */
function haveFrame(
  frames: readonly Float64Array[],
  page: number,
  frame: number,
  members: readonly boolean[],
): boolean {
  for (let at = 0; at < frames.length; at++) {
    if ((frames[at]?.[page] === frame) !== members[at]) return false;
  }
  return true;
}

function append(runs: SharedRun[], start: bigint, size: bigint, tasks: readonly number[]): void {
  const last = runs.at(-1);
  const joins = last !== undefined && last.start + last.size === start &&
    last.tasks.length === tasks.length && last.tasks.every((task, at) => task === tasks[at]);
  if (joins) runs[runs.length - 1] = { ...last, size: last.size + size };
  else runs.push({ start, size, tasks });
}
