/**
 * What fstat(2) tells of a file.
 *
 * @module
 */
import { defineStruct } from "./struct.ts";

/** `struct stat` of x86-64 (`arch/x86/include/uapi/asm/stat.h`). Times are seconds and nanoseconds. */
export const FileStatus = defineStruct("stat", 144, {
  dev: [0, "u64"],
  ino: [8, "u64"],
  links: [16, "u64"],
  mode: [24, "u32"],
  uid: [28, "u32"],
  gid: [32, "u32"],
  rdev: [40, "u64"],
  size: [48, "i64"],
  /** In units of 512 bytes, whatever the file system's own. */
  blocks: [64, "i64"],
  atime: [72, "i64"],
  atimeNs: [80, "i64"],
  mtime: [88, "i64"],
  mtimeNs: [96, "i64"],
});
