/**
 * The files that a job has open for writing.
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
import { lookAtFile } from "./file_state.ts";

/** A regular file that is open for writing. */
export interface OpenFile {
  readonly path: string;
  /** Which file has that path. */
  readonly ino: number;
  /**
   * Whether all who have it open can only write at its end (O_APPEND). Where a descriptor without that stands tells
   * nothing for certain: a file that was emptied and is written anew is written at its end, too.
   */
  readonly append: boolean;
  /** Whether somebody who has it open can read it, too. */
  readonly reads: boolean;
}

/**
 * The regular files that a tree has open for writing, but for some.
 *
 * @param except paths of files that are dealt with otherwise
 */
export function filesBeingWritten(root: number, except: ReadonlySet<string>): OpenFile[] {
  const ways = new Map<string, Pick<OpenFile, "append" | "reads">>();
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    const process = pid;
    open.push(...unlessGone(() => readChildren(process), []));
    for (const fd of unlessGone(() => readFds(process), [])) {
      const link = unlessGone(() => readFdLink(process, fd), undefined);
      if (link?.kind !== "path" || link.deleted || except.has(link.text)) continue;
      const flags = unlessGone(() => readFdInfo(process, fd)?.flags, undefined) ?? O.RDONLY;
      if ((flags & O.ACCMODE) === O.RDONLY || (flags & O.PATH) !== 0) continue;
      const other = ways.get(link.text);
      ways.set(link.text, {
        append: (flags & O.APPEND) !== 0 && (other?.append ?? true),
        reads: (flags & O.ACCMODE) !== O.WRONLY || (other?.reads ?? false),
      });
    }
  }
  return Array.from(ways).flatMap(([path, way]) => {
    const found = lookAtFile(path);
    return typeof found === "string" ? [] : [{ path, ino: found.ino, ...way }];
  });
}
