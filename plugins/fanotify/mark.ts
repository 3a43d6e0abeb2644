/**
 * A mark of a fanotify group as the image has it, and the calls that set it. Pure.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../../base/errors.ts";
import type { FanotifyMark } from "../../core/linux/procfs/mod.ts";
import type { SavedFile } from "../../core/restore/watched_files.ts";
import { decodeKernelDevice, encodeKernelDevice } from "../../images/device.ts";
import { encodeHandle, handleOf } from "../../images/file_handle.ts";
import {
  type fanotify_mark_entry,
  type fanotify_mark_entrySchema,
  mark_type,
} from "../../images/gen/watches_pb.ts";

/** `include/uapi/linux/fanotify.h` */
export const FAN_MARK = {
  ADD: 0x1,
  DONT_FOLLOW: 0x4,
  MOUNT: 0x10,
  IGNORED_MASK: 0x20,
  FILESYSTEM: 0x100,
  IGNORE: 0x400,
} as const;

/** Events whose causer waits until the group has allowed it: OPEN_PERM, ACCESS_PERM, OPEN_EXEC_PERM, PRE_ACCESS. */
const PERMISSIONS = 0x10000 | 0x20000 | 0x40000 | 0x100000;

/** Whether others wait for what the group says to what they do. */
export function asksPermission({ mask }: Pick<FanotifyMark, "mask">): boolean {
  return (mask & PERMISSIONS) !== 0;
}

/** The image of a mark. @param id the group's; @param path of the file, or of the mount or one of the file system */
export function encodeMark(
  { ino, dev, mountId, markFlags, mask, ignoredMask, handle }: FanotifyMark,
  id: number,
  path: string,
): MessageInitShape<typeof fanotify_mark_entrySchema> {
  const mark = {
    id,
    mflags: markFlags,
    mask,
    ignoredMask,
    sDev: dev === undefined ? 0 : encodeKernelDevice(dev),
  };
  if (ino !== undefined) {
    return {
      ...mark,
      type: mark_type.INODE,
      ie: { iIno: ino, fHandle: encodeHandle(handle, path) },
    };
  }
  const type = mountId === undefined ? mark_type.FILESYSTEM : mark_type.MOUNT;
  return { ...mark, type, me: { mntId: mountId ?? 0, path } };
}

/**
 * The file that a mark is on; undefined for one on a mount or file system.
 *
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image` where it is on nothing
 */
export function markedFile(
  { id, type, ie, me, sDev }: fanotify_mark_entry,
  file: string,
): SavedFile | undefined {
  const path = (type === mark_type.INODE ? ie?.fHandle?.path : me?.path) ?? "";
  const isOn = type === mark_type.INODE ? ie !== undefined : me !== undefined && path !== "";
  if (!isOn || path !== "" && (!path.startsWith("/") || path.includes("\0"))) {
    throw new StasisError("bad-image", `${file} has in file ${id} a mark that is on nothing`);
  }
  if (type !== mark_type.INODE || ie?.fHandle === undefined) return undefined;
  return {
    path,
    file: { inode: ie.iIno, dev: decodeKernelDevice(sDev) },
    handle: handleOf(ie.fHandle, file),
  };
}

/** What fanotify_mark(2) is called with, once for the events that are told and once for those that are not. */
export function markCalls(
  { type, mflags, mask, ignoredMask }: fanotify_mark_entry,
): { readonly flags: number; readonly mask: number }[] {
  const on = type === mark_type.MOUNT
    ? FAN_MARK.MOUNT
    : type === mark_type.FILESYSTEM
    ? FAN_MARK.FILESYSTEM
    : 0;
  // How events are ignored is said of those alone, in the newer way or the older one (fanotify_user_mark_flags()).
  const ignoring = mflags & IGNORING;
  const told = FAN_MARK.ADD | on | mflags & EVICTABLE;
  const older = (mflags & FAN_MARK.IGNORE) === 0 ? FAN_MARK.IGNORED_MASK : 0;
  return [
    { flags: told, mask },
    { flags: told | ignoring | older, mask: ignoredMask },
  ].filter((call) => call.mask !== 0);
}

/** FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_IGNORE. */
const IGNORING = 0x40 | FAN_MARK.IGNORE;
/** FAN_MARK_EVICTABLE: the inode may leave memory, and the mark with it. */
const EVICTABLE = 0x200;
