/**
 * Files that a tree has by events of fanotify(7): the kernel opens them for whoever reads the event, and they belong to
 * whoever was at work on them, who may have changed or deleted them by the time of the restore. A program that watches a
 * whole mount nearly always has some, and would never be restored if each had to be what it was.
 *
 * Nothing tells of a descriptor that it has come with an event (of the kernel's own flag FMODE_NONOTIFY fdinfo tells
 * before Linux 6.14 alone): it is taken for one if the task has a group that gives descriptors, and it is open as those
 * are and has not been read.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import type { reg_file_entry } from "../../images/gen/paths_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { O } from "../linux/fcntl.ts";
import { isMissing, statPath } from "../linux/files.ts";
import { readDescriptors } from "./descriptors.ts";

const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFDIR = 0o040000;
/** FAN_REPORT_FID, FAN_REPORT_DIR_FID, FAN_REPORT_NAME: a group that tells of files by handles. */
const REPORTS_HANDLES = 0x200 | 0x400 | 0x800;
/** `__FMODE_NONOTIFY`. */
const NO_EVENTS = 0x4000000;

/**
 * The ids of the entries of `files.img` that mean such files.
 *
 * @param files all entries by id
 * @param pids the tasks of the tree
 */
export function eventFiles(
  images: ImageDirectory,
  files: ReadonlyMap<number, file_entry>,
  pids: Iterable<number>,
): ReadonlySet<number> {
  const found = new Set<number>();
  const groups = new Map<number, number>();
  for (const { id, ffy } of files.values()) {
    if (ffy !== undefined && (ffy.faflags & REPORTS_HANDLES) === 0) {
      groups.set(id, flagsOf(ffy.evflags));
    }
  }
  if (groups.size === 0) return found;
  for (const pid of pids) {
    const table = readDescriptors(images, pid);
    const given = new Set(table.flatMap(({ id }) => groups.get(id) ?? []));
    if (given.size === 0) continue;
    for (const { id } of table) {
      const reg = files.get(id)?.reg;
      if (reg?.pos !== 0n || !given.has(flagsOf(reg.flags))) continue;
      // Nobody is told of devices; 0: the images do not say.
      if ([S_IFREG, S_IFDIR, 0].includes(reg.mode & S_IFMT)) found.add(id);
    }
  }
  return found;
}

function flagsOf(flags: number): number {
  return flags & ~(O.CLOEXEC | NO_EVENTS);
}

/** Whether such a file is not there any more. */
export function isLost({ mode }: Pick<reg_file_entry, "mode">, path: string): boolean {
  try {
    const found = statPath(path).mode;
    // 0: the images do not say.
    return mode !== 0 && (mode & S_IFMT) !== (found & S_IFMT);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
}
