/**
 * Families: tasks that come from each other by fork(2) without execve(2), and which of their private pages they still
 * have in common.
 *
 * @module
 */
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { pread } from "../../core/linux/libc_ffi.ts";
import type { FrozenTask } from "../../core/plugin.ts";
import type { Run } from "./runs.ts";
import { ancestry } from "./ancestry.ts";
import {
  appendSharedRuns,
  hasShared,
  type Part,
  readFrames,
  type SharedRun,
} from "./shared_frames.ts";
import { openPath } from "./open_path.ts";

const O_RDONLY = 0;

/** Tasks that have pages in common. */
export interface Family {
  readonly tasks: readonly FrozenTask[];
  /** Those pages, ascending. */
  readonly runs: readonly SharedRun[];
}

/** So many tasks are compared with each other: each has a file open meanwhile. */
const MOST = 500;

/**
 * Finds the families of a tree that have pages in common; none where this user may not know (CAP_SYS_ADMIN).
 *
 * @param tasks those that own their memory, which stand still
 * @param runsOf the private pages of each that hold something, ascending
 * @param check throws where the operation is cancelled
 */
export function findFamilies(
  tasks: readonly FrozenTask[],
  runsOf: (task: FrozenTask) => readonly Run[],
  check: () => void,
): Family[] {
  const families: Family[] = [];
  for (const related of Map.groupBy(tasks, ({ proc }) => ancestry(proc)).values()) {
    for (let at = 0; at < related.length; at += MOST) {
      const members = related.slice(at, at + MOST);
      if (members.length < 2) continue;
      const runs = compare(members, members.map(runsOf), check);
      if (runs.length > 0) families.push({ tasks: members, runs });
    }
  }
  return families;
}

/** What is compared at a time, in bytes: what one page table maps. */
const WINDOW = 2 << 20;
const PAGE = Number(PAGE_SIZE);
const WINDOW_PAGES = WINDOW / PAGE;

/** One of the tasks that are compared. */
class Member implements Disposable {
  readonly frames: Float64Array = new Float64Array(WINDOW_PAGES);
  readonly #file;
  readonly #runs: readonly { readonly start: number; readonly end: number }[];
  readonly #first = new Uint32Array(2 * WINDOW_PAGES);
  readonly #again = new Uint32Array(2 * WINDOW_PAGES);
  #next = 0;
  /** What of the window is in the runs. Between them may be the zero page, which is in nobody's. */
  #parts: Part[] = [];

  constructor({ proc }: FrozenTask, runs: readonly Run[]) {
    this.#file = openPath(`/proc/${proc.liveTid}/pagemap`, O_RDONLY);
    this.#runs = runs.map(({ start, size }) => ({
      start: Number(start),
      end: Number(start + size),
    }));
  }

  /** The first address from here on at which it has something; Infinity behind the last. */
  positionFrom(base: number): number {
    const run = this.#runs[this.#next];
    return run === undefined ? Infinity : Math.max(run.start, base);
  }

  /** Steps to a window. @returns whether it has something there */
  enter(base: number): boolean {
    const end = base + WINDOW;
    this.#parts = [];
    for (let run = this.#runs[this.#next]; run !== undefined && run.start < end;) {
      const from = (Math.max(run.start, base) - base) / PAGE;
      this.#parts.push({ from, to: (Math.min(run.end, end) - base) / PAGE });
      if (run.end > end) break;
      run = this.#runs[++this.#next];
    }
    return this.#parts.length > 0;
  }

  /** Reads the entries of the window. @returns whether it may share any of its pages */
  readFirst(base: number): boolean {
    this.#read(base, this.#first);
    return hasShared(this.#first, this.#parts);
  }

  /** Reads them again, and finds the frames. @returns whether there are any */
  readAgain(base: number): boolean {
    this.#read(base, this.#again);
    this.frames.fill(0);
    return readFrames(this.#first, this.#again, this.frames, this.#parts);
  }

  #read(base: number, into: Uint32Array): void {
    const from = this.#parts[0]?.from ?? 0, to = this.#parts.at(-1)?.to ?? 0;
    const bytes = new Uint8Array(into.buffer, 8 * from, 8 * (to - from));
    const count = pread(this.#file.fd, bytes, BigInt(base / PAGE + from) * 8n);
    bytes.fill(0, Math.max(count, 0));
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

function compare(
  tasks: readonly FrozenTask[],
  runs: readonly (readonly Run[])[],
  check: () => void,
): SharedRun[] {
  using stack = new DisposableStack();
  const members = tasks.map((task, index) =>
    stack.use(new Member(task, runs[index] as readonly Run[]))
  );
  const found: SharedRun[] = [];
  for (let base = 0;;) {
    const next = members.reduce(
      (least, member) => Math.min(least, member.positionFrom(base)),
      Infinity,
    );
    if (next === Infinity) return found;
    base = Math.floor(next / WINDOW) * WINDOW;
    check();
    const here = [...members.keys()].filter((index) => members[index]?.enter(base));
    if (here.length >= 2) {
      const candidates = here.filter((index) => members[index]?.readFirst(base));
      if (candidates.length >= 2) {
        const sharing = candidates.filter((index) => members[index]?.readAgain(base));
        const frames = sharing.map((index) => (members[index] as Member).frames);
        if (sharing.length >= 2) appendSharedRuns(found, BigInt(base), frames, sharing);
      }
    }
    base += WINDOW;
  }
}
