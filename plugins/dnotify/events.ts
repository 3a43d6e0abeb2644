/**
 * What a directory is watched for, as fcntl(2) F_NOTIFY takes it and as the kernel keeps it (convert_arg() of
 * `fs/notify/dnotify/dnotify.c`). Pure.
 *
 * @module
 */

/** DN_* of `include/uapi/linux/fcntl.h`, each with its FS_* of `include/linux/fsnotify_backend.h`. */
const EVENTS: readonly (readonly [told: number, kept: number])[] = [
  [0x1, 0x1], // DN_ACCESS
  [0x2, 0x2], // DN_MODIFY
  [0x4, 0x100 | 0x80], // DN_CREATE: FS_CREATE, FS_MOVED_TO
  [0x8, 0x200 | 0x40], // DN_DELETE: FS_DELETE, FS_MOVED_FROM
  [0x10, 0x1000_0000], // DN_RENAME
  [0x20, 0x4], // DN_ATTRIB
  [0x8000_0000, 0x2000_0000], // DN_MULTISHOT: FS_DN_MULTISHOT
];
/** FS_EVENT_ON_CHILD, which all have. */
const ON_CHILD = 0x0800_0000;

/** All that F_NOTIFY takes, DN_MULTISHOT too. */
export const ALL_EVENTS: number = EVENTS.reduce((all, [told]) => (all | told) >>> 0, 0);
/** DN_MULTISHOT: it stays until it is taken back. */
export const MULTISHOT = 0x8000_0000;

/** What F_NOTIFY was called with. @param kept `dn_mask` @returns undefined of a mask that no kernel known here keeps */
export function eventsOf(kept: number): number | undefined {
  let told = 0, known = ON_CHILD;
  for (const [event, mask] of EVENTS) {
    if ((kept & mask) >>> 0 !== mask) continue;
    told = (told | event) >>> 0;
    known |= mask;
  }
  return (known | kept) >>> 0 === known >>> 0 && (kept & ON_CHILD) !== 0 && isWatch(told)
    ? told
    : undefined;
}

/** Whether F_NOTIFY makes a watch by it: without an event it takes one back. */
export function isWatch(events: number): boolean {
  return (events & ~MULTISHOT) !== 0 && (events & ~ALL_EVENTS) === 0;
}
