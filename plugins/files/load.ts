/**
 * Whether the files that the images name are still what they were, before anything is built.
 *
 * @module
 */
import { isFieldSet } from "@bufbuild/protobuf";
import { buildIdNumbers, readBuildId } from "../../core/linux/build_id.ts";
import { lstatPath, modifiedAt, statPath } from "../../core/linux/files.ts";
import { errnoOf } from "../../core/linux/procfs/mod.ts";
import {
  type FileValidation,
  fileValidationOf,
  type LoadContext,
  type OperationOptions,
  remapPath,
} from "../../core/plugin.ts";
import { type reg_file_entry, reg_file_entrySchema } from "../../images/gen/paths_pb.ts";
import { S_IFLNK, S_IFMT, S_IFREG, typeName } from "./kinds.ts";

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
  for (const file of files) {
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
        "bring it back, or name another one with --remap",
      );
    } else if (type !== 0 && type !== (found.mode & S_IFMT)) {
      report(
        `${whose} was a ${typeName(file.mode)} and is a ${typeName(found.mode)} now`,
        "bring the old one back, or name another one with --remap",
      );
    } else if (
      isFieldSet(file, SIZE) && (found.mode & S_IFMT) === S_IFREG && validation !== "none"
    ) {
      const change = file.size !== found.size
        ? `has ${found.size} bytes now and had ${file.size} at the checkpoint`
        : contentsChange(file, path, validation, surroundings);
      if (change !== undefined) report(`the file ${whose} ${change}`, CHANGE_HINT);
    }
  }
}

const CHANGE_HINT =
  "bring the old one back, or pass --ignore-file-change if the program can bear it";

/** What tells that a file of the same size has other contents; undefined if nothing does. */
function contentsChange(
  { id, buildId }: reg_file_entry,
  path: string,
  validation: FileValidation,
  { buildId: buildIdOf = readBuildId, modifiedAt: timeOf = modifiedAt, savedTimes }: Surroundings,
): string | undefined {
  if (validation === "size") return undefined;
  if (validation === "buildid" && buildId.length > 0) {
    const found = buildIdOf(path);
    const same = found !== undefined && String(buildIdNumbers(found)) === String(buildId);
    return same ? undefined : "is another build of the same size (its build id is another one)";
  }
  const saved = savedTimes?.get(id);
  if (saved === undefined) {
    return validation === "mtime"
      ? "cannot be compared by its time: the checkpoint was made without --file-validation mtime"
      : undefined;
  }
  const now = timeOf(path);
  if (now === saved) return undefined;
  return `was last modified at ${date(now)} and at ${date(saved)} by the time of the checkpoint`;
}

/** A point in time as people read it. @param time in nanoseconds since 1970 */
function date(time: bigint): string {
  const at = new Date(Number(time / 1_000_000n));
  return Number.isNaN(at.getTime()) ? `${time} ns` : at.toISOString();
}
