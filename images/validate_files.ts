/**
 * Checks of `files.img` and of descriptor tables before anything is planned: they may be damaged, or hostile. Pure.
 *
 * @module
 */
import { fd_types, type fdinfo_entry, type file_entry } from "./gen/descriptors_pb.ts";
import { StasisError } from "../base/errors.ts";
import { uniqueById } from "./unique.ts";

/** The member of an entry that each type has, of those that are known here. */
const MEMBERS = {
  [fd_types.REG]: "reg",
  [fd_types.PIPE]: "pipe",
  [fd_types.FIFO]: "fifo",
  [fd_types.INETSK]: "isk",
  [fd_types.UNIXSK]: "usk",
  [fd_types.EVENTFD]: "efd",
  [fd_types.EVENTPOLL]: "epfd",
  [fd_types.INOTIFY]: "ify",
  [fd_types.SIGNALFD]: "sgfd",
  [fd_types.PACKETSK]: "psk",
  [fd_types.TTY]: "tty",
  [fd_types.FANOTIFY]: "ffy",
  [fd_types.NETLINKSK]: "nlsk",
  [fd_types.NS]: "nsf",
  [fd_types.EXT]: "ext",
  [fd_types.TIMERFD]: "tfd",
  [fd_types.MEMFD]: "memfd",
  [fd_types.PIDFD]: "pidfd",
} as const satisfies Partial<Record<fd_types, keyof file_entry>>;

/**
 * The entries of `files.img` by their ids.
 *
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image` where an id is there twice, or an entry has not the one member that its type
 * says, with the same id
 */
export function validFiles(
  entries: readonly file_entry[],
  file: string,
): ReadonlyMap<number, file_entry> {
  for (const entry of entries) {
    const wanted = MEMBERS[entry.type as keyof typeof MEMBERS] as string | undefined;
    for (const member of Object.values(MEMBERS)) {
      const found = entry[member];
      if (found === undefined ? member !== wanted : member === wanted && found.id === entry.id) {
        continue;
      }
      const why = found === undefined
        ? "without what it is"
        : member === wanted
        ? `which has the id ${found.id} inside`
        : `with what is of another type (${member})`;
      const type = fd_types[entry.type];
      throw new StasisError("bad-image", `${file} has file ${entry.id} of type ${type}, ${why}`);
    }
  }
  return uniqueById(entries, ({ id }) => id, file, "file");
}

/** Descriptors are ints. */
const FD_LIMIT = 2 ** 31;

/**
 * Checks a descriptor table.
 *
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image` where a number is there twice, or is none
 */
export function validateDescriptors(table: readonly fdinfo_entry[], file: string): void {
  const wrong = table.find(({ fd }) => fd >= FD_LIMIT);
  if (wrong !== undefined) {
    throw new StasisError("bad-image", `${file} has the impossible descriptor ${wrong.fd}`);
  }
  uniqueById(table, ({ fd }) => fd, file, "descriptor");
}
