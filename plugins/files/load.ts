/**
 * Whether the files that the images name are still what they were, before anything is built.
 *
 * @module
 */
import { isFieldSet } from "@bufbuild/protobuf";
import { StasisError } from "../../base/errors.ts";
import { buildIdNumbers, readBuildId } from "../../core/linux/build_id.ts";
import { O } from "../../core/linux/fcntl.ts";
import { lstatPath, modifiedAt, statPath } from "../../core/linux/files.ts";
import { errnoOf } from "../../core/linux/procfs/mod.ts";
import {
  type FileValidation,
  fileValidationOf,
  type LoadContext,
  type OperationOptions,
  remapHint,
  remapPath,
} from "../../core/plugin.ts";
import { type reg_file_entry, reg_file_entrySchema } from "../../images/gen/paths_pb.ts";
import { S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, typeName } from "./kinds.ts";

/** An absent size reads as 0, which is one too. */
const SIZE = reg_file_entrySchema.field.size;

/** What is found at a path: its mode and size, or the error's name. */
export type Found = { readonly mode: number; readonly size: bigint } | string;

/** The machine as {@link checkFiles} sees it. */
export interface Surroundings {
  /** How to look at a path. */
  readonly look?: (path: string, link: boolean) => Found;
  /** The build id of a file, and when it was last modified. */
  readonly buildId?: (path: string) => Uint8Array | undefined;
  readonly modifiedAt?: (path: string) => bigint;
  /** Whether a path is in a directory that is made before files are opened, so that it need not be there. */
  readonly isMade?: (path: string) => boolean;
  /** What the images tell of when files were last modified, by the id of the entry. */
  readonly savedTimes?: ReadonlyMap<number, bigint>;
}

/** Looks at a path; of a symbolic link at itself if `link` says so. */
export function lookAt(path: string, link: boolean): Found {
  try {
    const info = link ? lstatPath(path) : statPath(path);
    return { mode: info.mode, size: BigInt(info.size) };
  } catch (error) {
    return errnoOf(error) ?? String(error);
  }
}

/**
 * Reports every file that has gone, has become something else, or has other contents than at the checkpoint as far as
 * the user wants that compared.
 * A file that changes under a program that has read a part of it is no longer what that program knows.
 *
 * @param files the regular file entries of the images, those of executables, mappings and directories too
 */
export function checkFiles(
  files: Iterable<reg_file_entry>,
  context: LoadContext,
  options: OperationOptions,
  surroundings: Surroundings = {},
): void {
  const { look = lookAt, isMade = () => false } = surroundings;
  const validation = fileValidationOf(options);
  const pids = new Set(context.tasks.map(({ pid }) => pid));
  const told = new Set<string>();
  const report = (what: string, hint: string): void => {
    if (!told.has(what)) context.problem({ what, hint });
    told.add(what);
  };
  const named = [...files];
  const lacking = lackingContents(named, options, surroundings);
  if (lacking !== undefined) {
    report(`changed files cannot be told: the checkpoint has saved no ${lacking}`, LACKING_HINT);
  }
  for (const file of named) {
    if (file.ext === true) {
      report(
        `the images leave out the external file ${file.name}`,
        "they were made with --external file[...], which cannot be restored yet",
      );
      continue;
    }
    const path = remapPath(file.name, options);
    const task = /^\/proc\/(\d+)(\/|$)/.exec(path);
    // The files of a task of the tree are there when the task is.
    if (task !== null && pids.has(Number(task[1]))) continue;
    if (isMade(path)) continue;
    const whose = path === file.name ? path : `${path} (for ${file.name})`;
    const type = file.mode & S_IFMT; // 0 where the images do not say
    const found = look(path, type === S_IFLNK);
    if (typeof found === "string") {
      report(
        found === "ENOENT" || found === "ENOTDIR"
          ? `the file ${whose} does not exist`
          : `the file ${whose} cannot be looked at: ${found}`,
        remapHint(file.name),
      );
    } else if (type !== 0 && type !== (found.mode & S_IFMT)) {
      report(
        `${whose} was a ${typeName(file.mode)} and is a ${typeName(found.mode)} now`,
        remapHint(file.name, "bring the old one back"),
      );
    } else if (
      isFieldSet(file, SIZE) && (found.mode & S_IFMT) === S_IFREG && validation !== "none"
    ) {
      if (file.size !== found.size) {
        const change = `has ${found.size} bytes now and had ${file.size} at the checkpoint`;
        report(`the file ${whose} ${change}`, CHANGE_HINT);
        continue;
      }
      const change = contentsChange(file, path, validation, surroundings);
      if (change !== undefined) report(`the file ${whose} ${change.what}`, change.hint);
    }
  }
}

/**
 * Refuses to open a fifo as a file: whoever did would wait for its other end. The path of one is in the images, too, of
 * which no descriptor is; and CRIU's may not say what a path leads to.
 *
 * @param look how to look at a path
 * @throws {StasisError} `bad-image`
 */
export function refuseFifo(
  { flags, mode }: Pick<reg_file_entry, "flags" | "mode">,
  path: string,
  look: (path: string, link: boolean) => Found,
): void {
  const type = mode & S_IFMT;
  if ((flags & O.PATH) !== 0 || type !== 0 && type !== S_IFIFO) return;
  const found = look(path, false);
  if (typeof found === "string" || (found.mode & S_IFMT) !== S_IFIFO) return;
  throw new StasisError("bad-image", `${path} is a fifo, and the images have it as a file`, {
    hint: "they were changed or written by something else: make the checkpoint again",
  });
}

const CHANGE_HINT =
  "bring the old one back, or pass --ignore-file-change if the program can bear it";

const LACKING_HINT = "leave --file-validation out: what it has saved is compared then";

/** What the user wants compared and the images have of no file at all. */
function lackingContents(
  files: readonly reg_file_entry[],
  options: OperationOptions,
  { savedTimes }: Surroundings,
): string | undefined {
  const { fileValidation, ignoreFileChange = false } = options;
  const hasTimes = (savedTimes?.size ?? 0) > 0;
  if (ignoreFileChange || hasTimes || !files.some((file) => isFieldSet(file, SIZE))) {
    return undefined;
  }
  if (fileValidation === "mtime") return "times";
  // By default what is there is compared; who asks for build ids is not to get sizes.
  const hasBuildIds = files.some(({ buildId }) => buildId.length > 0);
  return fileValidation === "buildid" && !hasBuildIds ? "build ids" : undefined;
}

/** For a file of the same size, which may well be the same. */
const TIME_HINT = "if it is the same file, compare sizes alone: --file-validation size";

/** What tells that a file of the same size has other contents; undefined if nothing does. */
function contentsChange(
  { id, buildId }: reg_file_entry,
  path: string,
  validation: FileValidation,
  { buildId: buildIdOf = readBuildId, modifiedAt: timeOf = modifiedAt, savedTimes }: Surroundings,
): { readonly what: string; readonly hint: string } | undefined {
  if (validation === "size") return undefined;
  if (validation === "buildid" && buildId.length > 0) {
    const found = buildIdOf(path);
    return found !== undefined && String(buildIdNumbers(found)) === String(buildId) ? undefined : {
      what: "is another build of the same size (its build id is another one)",
      hint: CHANGE_HINT,
    };
  }
  const saved = savedTimes?.get(id);
  if (saved === undefined) return undefined;
  const now = timeOf(path);
  return isSameTime(now, saved) ? undefined : {
    what: `was last modified at ${date(now)} and at ${date(saved)} by the time of the checkpoint`,
    hint: TIME_HINT,
  };
}

const SECOND = 1_000_000_000n;

/**
 * Whether two times, in nanoseconds, are one. Archives and some file systems keep whole seconds: then those tell, as
 * they do for rsync(1) and git(1).
 */
function isSameTime(one: bigint, other: bigint): boolean {
  const isWhole = one % SECOND === 0n || other % SECOND === 0n;
  return isWhole ? one / SECOND === other / SECOND : one === other;
}

/** A point in time as people read it, to the nanosecond. @param time in nanoseconds since 1970 */
function date(time: bigint): string {
  const fraction = ((time % SECOND) + SECOND) % SECOND;
  const at = new Date(Number((time - fraction) / 1_000_000n));
  if (Number.isNaN(at.getTime())) return `${time} ns`;
  return at.toISOString().replace(/\.000Z$/, `.${String(fraction).padStart(9, "0")}Z`);
}
