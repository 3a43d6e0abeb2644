/**
 * Where an operation tells what it does: on stderr, and in a file if one is wanted (`-o`). How much: `-v`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import type { StasisEvent } from "../base/events.ts";
import { ioError } from "../base/io_error.ts";
import type { OptionDescription } from "./command.ts";
import { hasColour } from "./ui/colour.ts";
import { Progress } from "./ui/progress.ts";

/** The options for it. */
export const REPORT_OPTIONS = {
  verbose: {
    flags: "-v, --verbose [level]",
    description:
      "tell what is done, with times, and by what it failed; -vv: also each step and where it " +
      "failed; -vvv: also the system calls that are made in the tree",
    bare: "1",
    repeatable: true,
  },
  logFile: {
    flags: "-o, --log-file <file>",
    description: "write that to a file (-vv where no level is given); notes go to stderr, too",
  },
} as const satisfies Record<string, OptionDescription>;

/** What was given for them. */
export interface ReportOptions {
  readonly verbose?: readonly string[];
  readonly logFile?: string;
}

/** What a file gets where no level is given. */
const FILE_LEVEL = 2;

/**
 * Reads how much is to be told: a number, as CRIU has it, or one more for each `v`.
 *
 * @param values what followed each `-v`; `1` where nothing did
 * @throws {StasisError} `usage`
 */
export function parseLevel(values: readonly string[]): number {
  const levels = values.map((value) => {
    if (/^\d$/.test(value)) return Number(value);
    if (/^v+$/.test(value)) return value.length + 1;
    throw new StasisError("usage", `"${value}" is no level of -v`, {
      hint: "write -v, -vv or -vvv",
    });
  });
  return levels.reduce((sum, level) => sum + level, 0);
}

/** Tells what happens. Disposing of it ends that. */
export class Report implements Disposable {
  readonly #shown: Progress;
  readonly #logged: Progress | undefined;
  readonly #file: Deno.FsFile | undefined;
  /** Why the file lacks something. */
  #lost: string | undefined;

  /** @throws {StasisError} `usage`; `io` where the file cannot be written */
  constructor({ verbose, logFile }: ReportOptions) {
    const level = verbose === undefined ? undefined : parseLevel(verbose);
    const colour = hasColour(Deno.stderr);
    this.#shown = Progress.onStderr(logFile === undefined ? level ?? 0 : 0, colour);
    if (logFile === undefined) return;
    const file = this.#file = createFile(logFile);
    const options = { level: level ?? FILE_LEVEL, terminal: false, colour: false };
    this.#logged = Progress.into(file, options, (cause) => {
      this.#lost ??= ioError(`write all of the log to ${logFile}`, cause).message;
    });
  }

  /** Takes an event. */
  readonly listener = (event: StasisEvent): void => {
    this.#shown.listener(event);
    this.#logged?.listener(event);
  };

  /** Takes the line of progress away: a result is printed next. */
  clear(): void {
    this.#shown[Symbol.dispose]();
  }

  /** Does something, and tells by what it failed. */
  async of<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      this.#shown.fail(error);
      this.#logged?.fail(error);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#lost !== undefined) {
      this.#shown.listener({ kind: "note", plugin: "core", text: this.#lost });
    }
    this.clear();
    this.#file?.close();
  }
}

function createFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, create: true, truncate: true });
  } catch (cause) {
    throw ioError(`write ${path}`, cause);
  }
}
