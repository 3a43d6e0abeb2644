/**
 * Device numbers. There are two forms of 32 bits: the kernel's own (the minor in the low 20 bits) and the one of
 * the system call interface (the minor split around the major, as in stat(2)'s `st_rdev`).
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

/** The kernel's own form (MKDEV of linux/kdev_t.h): `dev` of what an epoll instance watches. */
export function encodeKernelDevice({ major, minor }: Device): number {
  return ((major << 20) | minor) >>> 0;
}

/** A device from the kernel's own form. */
export function decodeKernelDevice(dev: number): Device {
  return { major: dev >>> 20, minor: dev & 0xfffff };
}

/** A device from the form of the system call interface (new_encode_dev of linux/kdev_t.h): what stat(2) gives. */
export function decodeUserDevice(dev: number): Device {
  return { major: (dev & 0xfff00) >>> 8, minor: (dev & 0xff) | ((dev >>> 12) & 0xfff00) };
}
