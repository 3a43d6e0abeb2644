/**
 * Device numbers. Images have two 32-bit forms: the kernel's own (`dev` of files and mounts: the minor in the
 * low 20 bits) and the one of the system call interface (`rdev` of device nodes and terminals: the minor split
 * around the major, as in stat(2)'s `st_rdev`).
 *
 * @module
 */

/** A device by its numbers. */
export interface Device {
  /** The major number, 12 bits. */
  readonly major: number;
  /** The minor number, 20 bits. */
  readonly minor: number;
}

/** The kernel's own form (MKDEV of linux/kdev_t.h): `root_dev`, `s_dev`, a ghost's `dev`. */
export function encodeKernelDevice({ major, minor }: Device): number {
  return ((major << 20) | minor) >>> 0;
}

/** The inverse of {@link encodeKernelDevice}. */
export function decodeKernelDevice(dev: number): Device {
  return { major: dev >>> 20, minor: dev & 0xfffff };
}

/** The form of the system call interface (new_encode_dev of linux/kdev_t.h): `rdev`. */
export function encodeUserDevice({ major, minor }: Device): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** The inverse of {@link encodeUserDevice}; what stat(2) gives, where it fits 32 bits. */
export function decodeUserDevice(dev: number): Device {
  return { major: (dev & 0xfff00) >>> 8, minor: (dev & 0xff) | ((dev >>> 12) & 0xfff00) };
}
