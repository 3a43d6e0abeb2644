/**
 * The calls that give a socket its name again. Pure.
 *
 * A socket with a path is bound where nobody sees it: its name is whatever it was there, below a root directory or a
 * working directory of the restore's own. Its file gets to its place when the tree is complete, in place of the old
 * one, which nothing listens to any more. If it was deleted, it is bound in an empty file system and stays away.
 * Until then whoever connects to it does so through a descriptor of the file.
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import { present } from "../../images/present.ts";
import type { SavedSocket } from "./group.ts";
import { nameText, pathOf, sockaddr } from "./name.ts";

/** `include/uapi/linux/mount.h`. */
const FSOPEN_CLOEXEC = 1, FSMOUNT_CLOEXEC = 1, FSCONFIG_CMD_CREATE = 6;
const PERMISSIONS = 0o7777;
/** The permissions that every new socket has (sock_alloc() of `net/socket.c`). */
const SOCKET_MODE = 0o777;

/** Whether a socket's name was a path whose file is deleted. */
export function isDeleted({ name, deleted }: unix_sk_entry): boolean {
  return deleted === true && name.byteLength > 0 && name[0] !== 0;
}

/** Where the file of a socket with a path is to be; undefined where the images do not say it. */
export function filePath({ entry, extra }: SavedSocket): string | undefined {
  const path = pathOf(entry.name);
  if (path === undefined) return undefined;
  const moved = present(extra, "filePath");
  if (moved !== undefined) return moved;
  if (path.startsWith("/")) return path;
  const directory = present(entry, "nameDir");
  if (directory?.startsWith("/") !== true) return undefined;
  return directory === "/" ? `/${path}` : `${directory}/${path}`;
}

/** Where a socket is bound that has a path. */
export interface BindPlace {
  /** The number under which its file is kept open, for {@link planConnect}. */
  readonly service: number;
  /** The number of the directory in which it is bound; undefined for an empty file system. */
  readonly directory: number | undefined;
  /** Whether its name does not lead to its file: then another socket may have both name and directory. */
  readonly moved: boolean;
}

/** Where the file of a socket is until it gets to its place, below the directory in which it is bound. */
export function fileInside(path: string, { service, moved }: BindPlace): string {
  return moved ? `.moved-${service}` : pathInside(path);
}

/** What binding depends on beside the images. */
export interface BindMeans {
  /** Where a socket is bound that has a path; undefined for others. */
  place(socket: SavedSocket): BindPlace | undefined;
  /** Is told of each that is bound to a path. */
  bound(socket: SavedSocket): void;
}

/** Where the file of a path is, relative to the directory in which it is bound. */
export function pathInside(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** Adds the calls that bind a socket to its name; none if it has none. */
export function planBind(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  means: BindMeans,
): void {
  const { name, filePerms: perms } = socket.entry;
  if (name.byteLength === 0) return;
  const path = pathOf(name);
  const address = sockaddr(name);
  const bind = (): void => {
    program.call("bind", fd, program.data(address, nameText(name)), address.byteLength);
  };
  if (path === undefined) return bind();
  means.bound(socket);
  planApart(program, path, means.place(socket) as BindPlace, () => {
    if (perms === undefined) return bind();
    // The file gets the mode of the socket without what umask takes away (unix_bind_bsd()).
    const mask = program.call("umask", 0);
    program.call("fchmod", fd, perms.mode & PERMISSIONS);
    bind();
    program.call("fchmod", fd, SOCKET_MODE);
    program.call("umask", mask);
    program.call("lchown", path, perms.uid, perms.gid);
  });
}

/** Adds calls that bind below a directory of one's own, and keep hold of the file. */
function planApart(
  program: SyscallProgram,
  path: string,
  place: BindPlace,
  bind: () => void,
): void {
  const { service, directory, moved } = place;
  const root = program.call("openat", AT_FDCWD, "/", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  const base = directory ?? planFileSystem(program);
  for (const parent of parentsOf(path)) program.try("mkdirat", base, parent, 0o755);
  program.call("fchdir", base);
  if (path.startsWith("/")) program.call("chroot", ".");
  bind();
  program.call("fchdir", root);
  if (path.startsWith("/")) program.call("chroot", ".");
  const inside = fileInside(path, place);
  if (moved) program.call("renameat", base, pathInside(path), base, inside);
  const file = program.call("openat", base, inside, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  program.call("dup3", file, service, O.CLOEXEC);
  if (directory === undefined) {
    program.call("unlinkat", base, inside, 0);
    program.call("close", base);
  }
  for (const fd of [file, root]) program.call("close", fd);
}

/** All directories that a path leads through, outermost first. */
function parentsOf(path: string): string[] {
  const parents = new Set<string>();
  const parts = path.split("/");
  for (let count = 1; count < parts.length; count++) {
    const parent = pathInside(parts.slice(0, count).join("/"));
    if (parent !== "") parents.add(parent);
  }
  return [...parents];
}

/** Adds the calls that make an empty file system. @returns its root */
function planFileSystem(program: SyscallProgram): Argument {
  const context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC);
  program.call("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0);
  const mount = program.call("fsmount", context, FSMOUNT_CLOEXEC, 0);
  program.call("close", context);
  return mount;
}

/**
 * An address that leads to a socket of the images.
 *
 * @param place where it is bound
 */
export function planAddress(
  program: SyscallProgram,
  { name: own }: unix_sk_entry,
  place: BindPlace | undefined,
): { readonly address: Argument; readonly size: number } {
  const name = place === undefined
    ? own
    : new TextEncoder().encode(`/proc/self/fd/${place.service}`);
  const bytes = sockaddr(name);
  return { address: program.data(bytes, nameText(name)), size: bytes.byteLength };
}

/** Adds the call that connects a socket to one of the images. */
export function planConnect(
  program: SyscallProgram,
  fd: Argument,
  entry: unix_sk_entry,
  place: BindPlace | undefined,
): void {
  const { address, size } = planAddress(program, entry, place);
  program.call("connect", fd, address, size);
}
