/**
 * Files that a job opens for writing after a checkpoint: that does not know of them, and a job that is taken up from it
 * would append to them once more. What it has written is cut off then, where it is known how long the file was when the
 * checkpoint was made.
 *
 * @module
 */
import { O } from "../core/linux/fcntl.ts";
import {
  readChildren,
  readFdInfo,
  readFdLink,
  readFds,
  unlessGone,
} from "../core/linux/procfs/mod.ts";
import { absolutePath } from "../images/path.ts";

/** A file, and how long it was at a checkpoint. */
export interface NewFile {
  readonly path: string;
  /** In bytes; 0 where it was not there. */
  readonly length: number;
}

/** What is known while a job stands still: how long the files are that its command line names, and what time it is. */
export class LengthsBefore {
  readonly #known = new Map<string, number>();
  /** In milliseconds since 1970. */
  readonly #at = Date.now();

  /** @param known what was known already, of the same moment */
  constructor(command: readonly string[], known: readonly NewFile[] = []) {
    for (const word of command) {
      if (word === "" || word.includes("\0")) continue;
      const path = absolutePath(word);
      const found = lookAt(path);
      // What is there and no regular file is none that can be cut.
      if (found === undefined || found.isFile) this.#known.set(path, found?.size ?? 0);
    }
    for (const { path, length } of known) this.#known.set(path, length);
  }

  /**
   * The files that are named and not there: who else would make them than the job. Of one that is there it has to be
   * seen that the job writes it: it may be what others feed it with.
   */
  get missing(): NewFile[] {
    return Array.from(this.#known, ([path, length]) => ({ path, length }))
      .filter(({ path, length }) => length === 0 && lookAt(path) === undefined);
  }

  /** How long a file was; undefined where that is not known. */
  of(path: string): number | undefined {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const born = lookAt(path)?.birthtime?.getTime();
    return born !== undefined && born > this.#at ? 0 : undefined;
  }
}

function lookAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined; // it is not there, or nobody may look
  }
}

/**
 * The regular files that a tree has open for writing, but for some.
 *
 * @param except paths of files that are dealt with otherwise
 */
export function filesBeingWritten(root: number, except: ReadonlySet<string>): string[] {
  const paths = new Set<string>();
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    const process = pid;
    open.push(...unlessGone(() => readChildren(process), []));
    for (const fd of unlessGone(() => readFds(process), [])) {
      const link = unlessGone(() => readFdLink(process, fd), undefined);
      if (link?.kind !== "path" || link.deleted || except.has(link.text)) continue;
      const flags = unlessGone(() => readFdInfo(process, fd)?.flags, undefined) ?? O.RDONLY;
      if ((flags & O.ACCMODE) !== O.RDONLY && lookAt(link.text)?.isFile) paths.add(link.text);
    }
  }
  return [...paths];
}

/** Which of the files of a job that is taken up are to be cut back. */
export function grownFiles(files: readonly NewFile[]): NewFile[] {
  return files.filter(({ path, length }) => {
    const found = lookAt(path);
    return found?.isFile === true && found.size > length;
  });
}
