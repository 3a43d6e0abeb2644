/**
 * The files that inotify(7) and fanotify(7) watched, where they are now.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { remapHint, remapPath } from "../contract/remap.ts";
import type { RestoreSession } from "../contract/restore.ts";
import type { FileFinder } from "../linux/file_handles.ts";
import type { FileIdentity } from "../linux/file_identity.ts";
import { lstatPath } from "../linux/files.ts";
import type { FileHandle } from "../linux/procfs/mod.ts";

/** A file as images tell it. */
export interface SavedFile {
  /** A path that led to it; empty if there was none. */
  readonly path: string;
  readonly file: FileIdentity;
  readonly handle?: FileHandle;
}

/** The path of a file, and how sure that is: it leads to the same file, to another one, or nowhere. */
export interface FoundPath {
  readonly path: string;
  readonly found: "same" | "another" | "none";
}

/** Whether a path is the way to a deleted file, which is made anew with the tree. */
export function isMadeAnew(path: string): boolean {
  return /^\/proc\/\d+\/fd\/\d+$/.test(path);
}

/** Looks for a file, under the name that the user gives, under its old one, and by its handle. */
export function findWatched(
  { path, file, handle }: SavedFile,
  finder: FileFinder,
  { options, rehearsal, isMade }: Pick<RestoreSession, "options" | "rehearsal" | "isMade">,
): FoundPath {
  if (isMadeAnew(path)) return { path, found: "same" };
  const remapped = remapPath(path, options);
  if (remapped !== path) {
    return { path: remapped, found: exists(remapped) || isMade(remapped) ? "same" : "none" };
  }
  if (path !== "" && (finder.isAt(path, file) || isMade(path))) return { path, found: "same" };
  const now = handle && finder.byHandle(file, handle);
  if (now !== undefined) return { path: now, found: "same" };
  // A tree that has been let run on may have deleted it by now.
  if (rehearsal && options.leaveRunning === true) return { path, found: "same" };
  return { path, found: path !== "" && exists(path) ? "another" : "none" };
}

/** @param who whose file it is, as `inotify watch 3 is on` */
export function lostFile({ path, file }: SavedFile, who: string): Omit<Problem, "plugin"> {
  return {
    what: `the file ${path || `of inode ${file.inode}`} that ${who} does not exist`,
    hint: path === "" ? "bring it back" : remapHint(path),
  };
}

function exists(path: string): boolean {
  try {
    lstatPath(path);
    return true;
  } catch {
    return false;
  }
}
