/**
 * Which open files are plain: a path, status flags and a position are all there is to them.
 *
 * @module
 */
import { isMessageQueue } from "../../core/checkpoint/file_location.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { O } from "../../core/linux/fcntl.ts";
import { decodeUserDevice } from "../../images/device.ts";
import { isSharedMemory } from "../memory/memfd.ts";

/** The type bits of a mode (`include/uapi/linux/stat.h`). */
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/** MEM_MAJOR of `include/uapi/linux/major.h`. */
const MEMORY_DEVICES = 1;

/**
 * The devices of `drivers/char/mem.c` whose open files have no state: /dev/null, zero, full, random,
 * urandom. /dev/kmsg has a place in the log, unless it is only written to.
 */
const STATELESS = new Set([3, 5, 7, 8, 9]);
const KMSG = 11;

/** Whether a character device's open file has no state but its flags. */
export function isStatelessDevice(rdev: number, flags: number): boolean {
  const { major, minor } = decodeUserDevice(rdev);
  if (major !== MEMORY_DEVICES) return false;
  return STATELESS.has(minor) || minor === KMSG && (flags & O.ACCMODE) === O.WRONLY;
}

/** Whether a descriptor is a plain file's: regular, a directory, a stateless device, or O_PATH of anything. */
export function isPlainFile(descriptor: Descriptor): boolean {
  if (descriptor.link.kind !== "path" || isSharedMemory(descriptor)) return false;
  const { flags } = descriptor.info;
  if ((flags & O.PATH) !== 0) return true;
  if (isMessageQueue(descriptor)) return false;
  switch (descriptor.fileType) {
    case S_IFREG:
    case S_IFDIR:
      return true;
    case S_IFCHR:
      return isStatelessDevice(descriptor.identity.rdev, flags);
    default:
      return false;
  }
}

/** What a mode says the file is, for messages. */
export function typeName(mode: number): string {
  return TYPES[mode & S_IFMT] ?? `file of type ${(mode & S_IFMT).toString(8)}`;
}

const TYPES: Readonly<Record<number, string>> = {
  [S_IFREG]: "regular file",
  [S_IFDIR]: "directory",
  [S_IFLNK]: "symbolic link",
  [S_IFCHR]: "character device",
  0o060000: "block device",
  [S_IFIFO]: "fifo",
  0o140000: "socket",
};
