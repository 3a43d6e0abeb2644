/**
 * What a job has opened since its latest checkpoint, and since the one that is being made: it runs on while that is
 * written, and from which of the two it will be taken up nobody knows yet.
 *
 * @module
 */
import type { FileState } from "./file_state.ts";
import { type FilesBefore, seenOpen } from "./new_files.ts";
import type { OpenFile } from "./open_files.ts";
import type { NewFile, NewFiles } from "./records.ts";

/** The files of one checkpoint. */
interface List {
  readonly checkpoint: number;
  readonly before: Pick<FilesBefore, "of">;
  readonly files: Map<string, NewFile>;
}

/** Lists of files, one for each checkpoint that the job may be taken up from. */
export class NewFileLists {
  #lists: readonly List[] = [];

  /**
   * Begins the list of a checkpoint, in place of one that it had.
   *
   * @param before what was known in its moment
   * @param files what is in it from the beginning
   */
  begin(checkpoint: number, before: Pick<FilesBefore, "of">, files: readonly NewFile[]): void {
    const others = this.#lists.filter((one) => one.checkpoint !== checkpoint);
    const list = { checkpoint, before, files: new Map(files.map((one) => [one.path, one])) };
    this.#lists = [...others, list];
  }

  /** Whether a checkpoint has a list. */
  has(checkpoint: number): boolean {
    return this.#lists.some((one) => one.checkpoint === checkpoint);
  }

  /** Drops all lists but that of one checkpoint. @returns whether there were others */
  keep(checkpoint: number): boolean {
    const kept = this.#lists.filter((one) => one.checkpoint === checkpoint);
    const isNew = kept.length < this.#lists.length;
    this.#lists = kept;
    return isNew;
  }

  /**
   * Files of a list that the job was seen to write before it was taken up, and has not written again: they were not there
   * at the checkpoint, and are empty. It does write them, be it after the next checkpoint, and so fast that nobody sees it.
   *
   * @param look tells how a file is now
   */
  emptied(
    checkpoint: number,
    look: (path: string) => FileState | "missing" | "unknown",
  ): NewFile[] {
    const list = this.#lists.find((one) => one.checkpoint === checkpoint);
    return [...list?.files.values() ?? []].filter(({ path, length, ino, seen }) => {
      if (!seen || length > 0) return false;
      const found = look(path);
      return typeof found === "object" && found.length === 0 && found.ino === ino;
    });
  }

  /** Takes note of files that are open. @returns whether there is something new in it */
  see(open: readonly OpenFile[]): boolean {
    let isNew = false;
    for (const { before, files } of this.#lists) {
      for (const file of open) {
        const was = before.of(file.path);
        if (was === undefined) continue;
        const noted = files.get(file.path);
        const seen = seenOpen(file, was, noted);
        if (noted?.seen === true && noted.ino === seen.ino && noted.append === seen.append) {
          continue;
        }
        files.set(file.path, seen);
        isNew = true;
      }
    }
    return isNew;
  }

  /** What is to be written down. */
  get record(): NewFiles {
    const lists = this.#lists.map(({ checkpoint, files }) => ({
      checkpoint,
      files: [...files.values()],
    }));
    return { lists };
  }
}
