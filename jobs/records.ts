/**
 * The small files of a store, in JSON. Reading them is pure; who reads one that is damaged is told so.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";

/** Whose store it is (`job.json`). */
export type Owner =
  /** That of a command, which `stasis run` has started. */
  | {
    readonly kind: "run";
    /** Its words. */
    readonly command: readonly string[];
    /** The working directory that it was started in. */
    readonly directory: string;
  }
  /** That of a tree that ran already. */
  | {
    readonly kind: "watch";
    /** The command line of its root. */
    readonly command: readonly string[];
    /** Its root. */
    readonly process: ProcessName;
  };

/** A process by what no other one of this machine has, now or later (`running.json`). */
export interface ProcessName {
  readonly pid: number;
  /** When it was born, in ticks since the machine was started (field 22 of `/proc/PID/stat`), as decimal digits. */
  readonly startTime: string;
  /** Which start of the machine (`/proc/sys/kernel/random/boot_id`). */
  readonly boot: string;
}

/** How the job has ended (`end.json`): by an exit of its own. */
export interface End {
  readonly code: number;
  /** When, as ISO 8601 has it. */
  readonly at: string;
}

/** How a checkpoint was made (`N.json`). */
export interface Made {
  /** When it was complete, as ISO 8601 has it. */
  readonly at: string;
  /** The size of its images in bytes. */
  readonly bytes: number;
  /** For how long the job stood still, in milliseconds. */
  readonly frozenMs: number;
  /** How long it all took, in milliseconds. */
  readonly totalMs: number;
  readonly tasks: number;
  readonly threads: number;
}

/** A file that a job may have written of which a checkpoint does not know. */
export interface NewFile {
  readonly path: string;
  /** How long it was at the checkpoint, in bytes; 0 where it was not there. */
  readonly length: number;
  /** When it had been modified then, in nanoseconds since 1970, as decimal digits; 0 where it was not there. */
  readonly mtime: string;
  /** Which file the job had open; 0 where it was not seen to have it open. */
  readonly ino: number;
  /** Whether the job could only write at its end (O_APPEND), and it is the file that was there. */
  readonly append: boolean;
  /** Whether the job could read it, too, as a database. */
  readonly reads: boolean;
  /** Whether the job was seen to have it open for writing; otherwise its command line names it alone. */
  readonly seen: boolean;
}

/** What a job writes of which its checkpoints do not know (`new.json`). */
export interface NewFiles {
  /** For each checkpoint that it may be taken up from: the latest, and the one that is being made. */
  readonly lists: readonly {
    /** Its number; 0 is the beginning of a job that could not be saved then. */
    readonly checkpoint: number;
    readonly files: readonly NewFile[];
  }[];
}

/** What a field can be. */
const IS = {
  string: (value: unknown) => typeof value === "string",
  number: (value: unknown) => typeof value === "number",
  boolean: (value: unknown) => typeof value === "boolean",
  digits: (value: unknown) => typeof value === "string" && /^\d+$/.test(value),
  list: (value: unknown) => Array.isArray(value),
  strings: (value: unknown) =>
    Array.isArray(value) && value.every((one) => typeof one === "string"),
} as const;

/** What a record's fields are. */
type Shape = Readonly<Record<string, keyof typeof IS>>;

/** Reads a record. @throws {StasisError} `bad-image` naming the file */
function readFields(text: string, path: string, shape: Shape): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(path);
  }
  if (typeof value !== "object" || value === null) throw damaged(path);
  const record = value as Record<string, unknown>;
  for (const [name, type] of Object.entries(shape)) {
    const field = record[name];
    if (!IS[type](field)) throw damaged(path);
  }
  return record;
}

function damaged(path: string): StasisError {
  return new StasisError("bad-image", `${path} is damaged, or was not written by Stasis`, {
    hint: "the checkpoints beside it can be restored one by one: stasis restore DIR/N",
  });
}

const PROCESS: Shape = { pid: "number", startTime: "string", boot: "string" };

/** Reads `job.json`. @throws {StasisError} `bad-image` */
export function readOwner(text: string, path: string): Owner {
  const fields = readFields(text, path, { kind: "string", command: "strings" });
  const { kind } = fields;
  if (kind === "run") {
    return readFields(text, path, { directory: "string" }) as unknown as Owner;
  }
  if (kind !== "watch") throw damaged(path);
  const process = readFields(JSON.stringify(fields["process"] ?? null), path, PROCESS);
  return { ...fields, process } as unknown as Owner;
}

/** Reads `running.json`. @throws {StasisError} `bad-image` */
export function readProcessName(text: string, path: string): ProcessName {
  return readFields(text, path, PROCESS) as unknown as ProcessName;
}

/** Reads `end.json`. @throws {StasisError} `bad-image` */
export function readEnd(text: string, path: string): End {
  return readFields(text, path, { code: "number", at: "string" }) as unknown as End;
}

const NEW_FILE: Shape = {
  path: "string",
  length: "number",
  mtime: "digits",
  ino: "number",
  append: "boolean",
  reads: "boolean",
  seen: "boolean",
};

/** Reads `new.json`. @throws {StasisError} `bad-image` */
export function readNewFiles(text: string, path: string): NewFiles {
  const found = readFields(text, path, { lists: "list" }) as unknown as NewFiles;
  const readPart = (part: unknown, shape: Shape) =>
    readFields(JSON.stringify(part ?? null), path, shape);
  for (const list of found.lists) {
    readPart(list, { checkpoint: "number", files: "list" });
    for (const file of list.files) readPart(file, NEW_FILE);
  }
  return found;
}

/** Reads `N.json`. @throws {StasisError} `bad-image` */
export function readMade(text: string, path: string): Made {
  return readFields(text, path, {
    at: "string",
    bytes: "number",
    frozenMs: "number",
    totalMs: "number",
    tasks: "number",
    threads: "number",
  }) as unknown as Made;
}

/** Why a store is not that of somebody; undefined where it is. */
export function strangerProblem(found: Owner, wanted: Owner): string | undefined {
  const sameCommand = JSON.stringify(found.command) === JSON.stringify(wanted.command);
  if (found.kind === "run" && wanted.kind === "run" && sameCommand) {
    return found.directory === wanted.directory
      ? undefined
      : `it belongs to the same command in ${found.directory}`;
  }
  // A watched process that was brought back is another one, under the same id.
  const isSame = found.kind === "watch" && wanted.kind === "watch" && sameCommand &&
    found.process.pid === wanted.process.pid;
  return isSame ? undefined : `it belongs to ${describeOwner(found)}`;
}

/** Whether two names are of one process. */
export function isSameProcess(one: ProcessName, other: ProcessName): boolean {
  return one.pid === other.pid && one.startTime === other.startTime && one.boot === other.boot;
}

/** Whom a store belongs to, for people. */
export function describeOwner(owner: Owner): string {
  const line = owner.command.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : quoted(word));
  const command = line.join(" ") || "a program without a command line";
  return owner.kind === "run" ? command : `process ${owner.process.pid} (${command})`;
}

/** A word as a shell would take it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
