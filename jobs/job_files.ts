/**
 * The files of a job that is saved again and again: what it opens is noted, and what it has done to them since the
 * checkpoint that it is taken up from is taken back.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";
import type { Cut } from "../core/contract/rollback.ts";
import { cutFile } from "../core/linux/files.ts";
import { syncAround } from "../core/linux/sync.ts";
import { fileValidationOf, type OperationOptions, remapPath } from "../core/plugin.ts";
import { FILE_LENGTHS, FILES } from "../images/kinds/files.ts";
import { parentPath } from "../images/path.ts";
import { type ImageDirectory, openImages } from "../mod.ts";
import { type JobListener, tellIfFails } from "./events.ts";
import { lookAtFile } from "./file_state.ts";
import { NewFileLists } from "./new_file_lists.ts";
import { FilesBefore, judgeNewFile } from "./new_files.ts";
import { filesBeingWritten } from "./open_files.ts";
import type { Store } from "./store.ts";
import { commonStreams } from "./streams.ts";

/** How often a job is looked at, and for how long often, in milliseconds. */
const OFTEN = 10, SELDOM = 200, SOON = 3000;
/** How many times as long as a look has taken it is not looked at. */
const SPARING = 50;

/** The number of no checkpoint: for a job that began although it could not be saved. */
export const BEGINNING = 0;

/** What is to be done about files before a job runs. */
export interface Rollback {
  readonly cuts: readonly Cut[];
  readonly notes: readonly string[];
}

/** The files of a job. */
export class JobFiles {
  readonly #store: Store;
  readonly #command: readonly string[];
  readonly #tell: JobListener;
  readonly #lists = new NewFileLists();
  /** The checkpoint that the job would be taken up from. */
  #latest = BEGINNING;

  constructor(store: Store, command: readonly string[], tell: JobListener) {
    this.#store = store;
    this.#command = command;
    this.#tell = tell;
  }

  /**
   * Judges what has become of files since a checkpoint. Touches none of them.
   *
   * @param checkpoint {@link BEGINNING} for a job that could not be saved yet
   * @param images those of the checkpoint: of files that it knows the restore sees to
   * @throws {StasisError} `conflict` with all files that cannot be brought back; `bad-image`, `io`
   */
  judge(
    checkpoint: number,
    images: ImageDirectory | undefined,
    options: OperationOptions,
  ): Rollback {
    const list = this.#store.newFiles()?.lists.find((one) => one.checkpoint === checkpoint);
    if (list === undefined || options.rollbackFiles === false) return { cuts: [], notes: [] };
    const known = images === undefined ? new Set() : filesKnownTo(images, options);
    const verdicts = list.files.filter(({ path }) => !known.has(path)).map((file) =>
      judgeNewFile(file, lookAtFile(file.path), fileValidationOf(options))
    );
    const problems = verdicts.flatMap((one) =>
      one.kind === "problem" ? [{ ...one.problem, plugin: "core" }] : []
    );
    if (problems.length > 0) {
      const message = "the job cannot be taken up: its files are not as they were";
      throw new StasisError("conflict", message, { problems });
    }
    return {
      cuts: verdicts.flatMap((one) => one.kind === "cut" ? [one.cut] : []),
      notes: verdicts.flatMap((one) => one.kind === "note" ? [one.text] : []),
    };
  }

  /** Does what was judged, and begins the list of that checkpoint anew. @throws {StasisError} `io` */
  rollBack(checkpoint: number, { cuts, notes }: Rollback): void {
    for (const { path, length } of cuts) {
      cutFile(path, length);
      this.#note(`${path} is cut back to ${length} bytes, as at the checkpoint`);
    }
    for (const text of notes) this.#note(text);
    const list = this.#store.newFiles()?.lists.find((one) => one.checkpoint === checkpoint);
    const before = new FilesBefore(this.#command);
    const seen = list?.files.filter((one) => one.seen) ?? [];
    this.#latest = checkpoint;
    this.#lists.begin(checkpoint, before, [...before.missing, ...seen]);
  }

  #note(text: string): void {
    this.#tell({ event: "note", text });
  }

  /** Says that a save begins: what an attempt before it has noted is not of the moment that this one saves. */
  begins(): void {
    tellIfFails(this.#tell, () => {
      if (this.#lists.keep(this.#latest)) this.write();
    });
  }

  /** Says that a job stands still that is being saved, and runs on next: from then on it may do what is not in there. */
  runsOn(): void {
    tellIfFails(this.#tell, () => this.#beginList(this.#store.list().next));
  }

  /** Says that it was saved: it is taken up from that checkpoint from now on. */
  saved(checkpoint: number): void {
    tellIfFails(this.#tell, () => {
      // Of one that others save inside of its namespace nobody was told when it ran on.
      if (!this.#lists.has(checkpoint)) this.#beginList(checkpoint);
      this.#latest = checkpoint;
      this.#lists.keep(checkpoint);
      this.write();
    });
  }

  /** Writes down what is known. */
  write(): void {
    tellIfFails(this.#tell, () => this.#store.noteNewFiles(this.#lists.record));
  }

  /**
   * Puts what the job has written on the disk, before it is said that it need not be done again: in the working directory,
   * and beside the files that it is known to write. Of other file systems nobody knows whether they answer.
   *
   * @throws {StasisError} `io`
   */
  sync(): void {
    const opened = this.#store.newFiles()?.lists.flatMap(({ files }) => files) ?? [];
    const { latest } = this.#store.list();
    const saved = latest === undefined
      ? []
      : filesKnownTo(openImages(this.#store.directoryOf(latest)), {});
    const paths = [...opened.map(({ path }) => path), ...saved];
    syncAround([Deno.cwd(), ...paths.map(parentPath)]);
  }

  #beginList(checkpoint: number): void {
    const before = new FilesBefore(this.#command);
    const emptied = this.#lists.emptied(this.#latest, lookAtFile);
    this.#lists.begin(checkpoint, before, [...before.missing, ...emptied]);
  }

  /**
   * Takes note of files that the job opens, for as long as it lives.
   *
   * @param onNews is told that there are some
   */
  async watch(pid: number, hasEnded: () => boolean, onNews: () => void): Promise<void> {
    const begun = performance.now();
    let isTold = false;
    while (!hasEnded()) {
      const at = performance.now();
      try {
        if (this.#lists.see(filesBeingWritten(pid, new Set(commonStreams(pid))))) {
          this.write();
          onNews();
        }
      } catch (error) {
        // The job is none the worse, and the next look may do.
        if (!isTold) this.#tell({ event: "failed", error: asStasisError(error) });
        isTold = true;
      }
      const now = performance.now();
      const pause = Math.max(now - begun < SOON ? OFTEN : SELDOM, SPARING * (now - at));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** The files that a checkpoint knows how they were written, by their paths on this machine. */
function filesKnownTo(images: ImageDirectory, options: OperationOptions): Set<string> {
  if (!images.has(FILE_LENGTHS, null) || !images.has(FILES, null)) return new Set();
  const known = new Set(images.readList(FILE_LENGTHS, null).map(({ id }) => id));
  const files = images.readList(FILES, null).flatMap(({ reg }) =>
    reg !== undefined && known.has(reg.id) ? [remapPath(reg.name, options)] : []
  );
  return new Set(files);
}
