/**
 * The magic numbers at the head of images that CRIU has too (criu/include/magic.h), by the names that `crit`
 * shows. Those of Stasis's own images stand with their kinds.
 *
 * @module
 */

/** The first u32 of every image but the inventory. */
export const IMG_COMMON_MAGIC = 0x54564319;

/** The second u32 of an image (the only one of the inventory), by the name that `crit` shows. */
export const MAGICS = {
  INVENTORY: 0x58313116,
  PSTREE: 0x50273030,
  FDINFO: 0x56213732,
  PAGEMAP: 0x56084025,
  CORE: 0x55053847,
  IDS: 0x54432030,
  PIPES_DATA: 0x56453709,
  FIFO_DATA: 0x59333054,
  CREDS: 0x54023547,
  FS: 0x51403912,
  MM: 0x57492820,
  REMAP_FPATH: 0x59133954,
  GHOST_FILE: 0x52583605,
  TTY_INFO: 0x59453036,
  TTY_DATA: 0x59413026,
  SECCOMP: 0x64413049,
  FILES: 0x56303138,
  MEMFD_INODE: 0x48453499,
  SK_QUEUES: 0x56264026,
  TCP_STREAM: 0x51465506,
  IPCNS_SHM: 0x46283044,
  IPCNS_MSG: 0x55453737,
  IPCNS_SEM: 0x59573019,
  FILE_LOCKS: 0x54323616,
  CGROUP: 0x59383330,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(MAGICS).map(([name, magic]) => [magic, name]),
);

/**
 * Says what a magic number stands for, for error messages.
 *
 * @param magic The type magic of an image.
 * @returns CRIU's name of it (`"CORE"`), or undefined where it is of none of these images.
 */
export function magicName(magic: number): string | undefined {
  return NAMES.get(magic);
}
