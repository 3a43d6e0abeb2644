/**
 * The file behind the name of a socket, where that is a path.
 *
 * The name is what the program gave to bind(2); it may be relative, and the file may be deleted since. The kernel
 * hands out a descriptor of the file (SIOCUNIXFILE), whose link in /proc tells where it really is.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { lstatPath, readLink, statPath } from "../../core/linux/files.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { PATH_MAX } from "../../core/linux/path_pieces.ts";
import { errnoOf } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { file_perms_entrySchema } from "../../images/gen/sockets_pb.ts";
import { nameText, pathOf } from "./name.ts";

/** SIOCPROTOPRIVATE (`include/uapi/linux/un.h`); takes CAP_NET_ADMIN. */
const SIOCUNIXFILE = 0x89e0;
const DELETED = " (deleted)";

/** The file of a socket. */
export interface SocketPlace {
  /** Why it cannot be found again: "has the name x, which ...". */
  readonly problem?: string;
  /** The directory where a relative path begins. */
  readonly directory?: string;
  /** Where the file is, if its name does not lead there. */
  readonly moved?: string;
  readonly deleted: boolean;
  readonly perms?: MessageInitShape<typeof file_perms_entrySchema>;
}

/**
 * Finds the file of a socket.
 *
 * @param fd a duplicate of its descriptor
 * @param name its name, which is a path
 */
export function findPlace(fd: number, name: Uint8Array): SocketPlace {
  const text = nameText(name);
  const lost = (why: string): SocketPlace => ({
    problem: `has the name ${text}, ${why}`,
    deleted: false,
  });
  const path = pathOf(name);
  if (path === undefined) return { deleted: false };
  const opened = syscall(SYSCALLS.ioctl, fd, SIOCUNIXFILE, 0);
  if (isErrno(opened)) {
    return lost(`and the kernel does not tell its file: ${errnoName(-opened)} (CAP_NET_ADMIN)`);
  }
  using file = new OwnedDescriptor(Number(opened));
  const link = `/proc/self/fd/${file.fd}`;
  const { ino, dev, mode, uid, gid } = statPath(link);
  const perms = { mode, uid, gid };
  let real: string;
  try {
    real = readLink(link);
  } catch (error) {
    if (errnoOf(error) !== "ENAMETOOLONG") throw error;
    return lost(`which lies deeper than the ${PATH_MAX - 1} bytes of path that the kernel tells`);
  }
  const isThere = (candidate: string): boolean => {
    try {
      const found = lstatPath(candidate);
      return found.ino === ino && found.dev === dev;
    } catch {
      return false;
    }
  };
  const deleted = real.endsWith(DELETED) && !isThere(real);
  const directory = path.startsWith("/") ? undefined : directoryOf(real, path, deleted);
  const begins = path.startsWith("/") || directory !== undefined;
  const found = directory === undefined ? path : `${directory}/${path}`;
  if (!deleted && !(begins && isThere(found))) {
    // Some servers bind beside their name, and then put the file in the place of an older one.
    if (isThere(real)) return { moved: real, deleted, perms };
    return lost(`which begins in another root directory: it is ${real}`);
  }
  if (!begins) return lost(`which does not tell where it begins: the file is ${real}`);
  if (deleted && path.split("/").includes("..")) return lost("which is deleted");
  return { directory, deleted, perms };
}

/** Where a relative path begins that leads to a file; undefined if the one is not the end of the other. */
export function directoryOf(real: string, path: string, deleted: boolean): string | undefined {
  const whole = deleted ? real.slice(0, -DELETED.length) : real;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const end = `/${parts.join("/")}`;
  return whole.endsWith(end) ? whole.slice(0, -end.length) || "/" : undefined;
}
