/**
 * Files that a job opens for writing after a checkpoint: that does not know of them, and a job that is taken up from it
 * would append to them once more. What it has written is cut off then, where it is known how the file was when the
 * checkpoint was made, and nothing else: what others may have made is left as it is, as is what the job writes from its
 * beginning each time; what it reads and writes elsewhere is refused.
 *
 * @module
 */
import type { Problem } from "../base/errors.ts";
import { type Cut, isCut, judge } from "../core/contract/rollback.ts";
import type { FileValidation } from "../core/plugin.ts";
import { absolutePath } from "../images/path.ts";
import { type FileState, lookAtFile } from "./file_state.ts";
import type { OpenFile } from "./open_files.ts";
import type { NewFile } from "./records.ts";

/** How a file was at a checkpoint. */
type Before = Pick<NewFile, "length" | "mtime"> & { readonly ino: number | undefined };

/** It was not there. */
const NOTHING: Before = { length: 0, mtime: "0", ino: undefined };

/** What is known while a job stands still: how the files are that its command line names, and what time it is. */
export class FilesBefore {
  readonly #known = new Map<string, Before>();
  /** In milliseconds since 1970. */
  readonly #at = Date.now();

  constructor(command: readonly string[]) {
    for (const word of command) {
      if (word === "" || word.includes("\0")) continue;
      const path = absolutePath(word);
      const found = lookAtFile(path);
      if (found === "missing") this.#known.set(path, NOTHING);
      else if (found !== "unknown") {
        const { length, mtime, ino } = found;
        this.#known.set(path, { length, mtime: String(mtime), ino });
      }
    }
  }

  /** The files that are named and were not there. Who makes them has to be seen: it may be others, for the job to read. */
  get missing(): NewFile[] {
    return Array.from(this.#known).flatMap(([path, { length, mtime, ino }]) =>
      ino === undefined
        ? [{ path, length, mtime, ino: 0, append: true, reads: false, seen: false }]
        : []
    );
  }

  /** How a file was; undefined where that is not known. */
  of(path: string): Before | undefined {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    let born: number | undefined;
    try {
      born = Deno.statSync(path).birthtime?.getTime();
    } catch {
      // It has gone, or nobody can tell.
    }
    return born !== undefined && isBornSince(born, this.#at, Date.now()) ? NOTHING : undefined;
  }
}

/**
 * Whether a file was made after a moment. All in milliseconds since 1970.
 *
 * @param now whoever was born later has another clock (a server's, or this one's before it was set back): it may be old
 */
export function isBornSince(born: number, moment: number, now: number): boolean {
  return born > moment && born <= now;
}

/**
 * What is to be noted of a file that the job has open.
 *
 * @param before how it was at the checkpoint
 * @param noted what was noted of it
 */
export function seenOpen(
  { path, ino, append, reads }: OpenFile,
  { length, mtime, ino: former }: Before,
  noted: NewFile | undefined,
): NewFile {
  // Another file under the same name was not appended to.
  const last = noted?.seen === true ? noted.ino : former ?? ino;
  return {
    path,
    length,
    mtime,
    ino,
    append: append && ino === last && (noted?.append ?? true),
    reads: reads || (noted?.reads ?? false),
    seen: true,
  };
}

/** What is to be done about a file when the job is taken up. */
export type Verdict =
  | { readonly kind: "none" }
  | { readonly kind: "cut"; readonly cut: Cut }
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "problem"; readonly problem: Omit<Problem, "plugin"> };

const NONE: Verdict = { kind: "none" };

/**
 * Judges a file of a job that is to be taken up.
 *
 * @param found what it is now
 * @param validation what the user wants compared
 */
export function judgeNewFile(
  file: NewFile,
  found: ReturnType<typeof lookAtFile>,
  validation: FileValidation,
): Verdict {
  const { path, length, mtime, seen, append, reads, ino } = file;
  if (found === "unknown") return seen ? note(`${path} cannot be looked at`) : NONE;
  if (length === 0) {
    // Where it is not there, it is as it was, or is made again.
    if (found === "missing" || found.length === 0) return NONE;
    if (!seen) {
      return note(`${path} was not there at the checkpoint, and the job was not seen to write it`);
    }
    if (found.ino !== ino) return note(`${path} is another file than the job has written`);
    return { kind: "cut", cut: { path, length: 0n, found: BigInt(found.length) } };
  }
  const now: FileState = found === "missing" ? { length: 0, mtime: 0n, ino: 0 } : found;
  if (!reads && !append) {
    // A result that is written from its beginning, or put in the place of the former: that is done again.
    return now.mtime === BigInt(mtime)
      ? NONE
      : note(`${path} was written anew since the checkpoint`);
  }
  const judged = judge(
    {
      path,
      writings: [{
        length: BigInt(length),
        mtime: BigInt(mtime),
        append: append && now.ino === ino,
        atEnd: false,
      }],
    },
    { length: BigInt(now.length), mtime: now.mtime },
    validation,
  );
  if (judged === undefined) return NONE;
  return isCut(judged) ? { kind: "cut", cut: judged } : { kind: "problem", problem: judged };
}

function note(why: string): Verdict {
  return { kind: "note", text: `${why}: it is left as it is` };
}
