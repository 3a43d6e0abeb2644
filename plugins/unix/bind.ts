/**
 * The calls that give a socket its name again. Pure.
 *
 * A path gets a new file in place of the old one, which nothing listens to any more. A socket whose file was
 * deleted is bound in an empty file system of its own, which nobody ever sees: there its name is whatever it was,
 * and nothing stands in the way of another file that has that name by now.
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import { present } from "../../images/present.ts";
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

/**
 * Adds the calls that bind a socket to the name of an entry; none if it has no name.
 *
 * @param service the number under which a deleted file is kept open, for {@link planConnect}
 */
export function planBind(
  program: SyscallProgram,
  fd: Argument,
  entry: unix_sk_entry,
  service: number | undefined,
): void {
  const { name } = entry;
  if (name.byteLength === 0) return;
  const path = pathOf(name);
  const address = sockaddr(name);
  const bind = (): void => {
    program.call("bind", fd, program.data(address, nameText(name)), address.byteLength);
  };
  if (path === undefined) return bind();
  if (isDeleted(entry)) return planDeleted(program, path, service as number, bind);
  planDirectory(program, entry);
  program.try("unlink", path);
  const { filePerms: perms } = entry;
  if (perms === undefined) return bind();
  // The file gets the mode of the socket without what umask takes away (unix_bind_bsd()): so nothing has to be
  // changed by a name that may lead elsewhere by then.
  const mask = program.call("umask", 0);
  program.call("fchmod", fd, perms.mode & PERMISSIONS);
  bind();
  program.call("fchmod", fd, SOCKET_MODE);
  program.call("umask", mask);
  program.call("lchown", path, perms.uid, perms.gid);
}

/** Adds the call that goes to where a relative path begins; later on every task gets its own directory. */
function planDirectory(program: SyscallProgram, entry: unix_sk_entry): void {
  const directory = present(entry, "nameDir");
  if (directory !== undefined) program.call("chdir", directory);
}

function planDeleted(
  program: SyscallProgram,
  path: string,
  service: number,
  bind: () => void,
): void {
  const root = program.call("openat", AT_FDCWD, "/", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  const context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC);
  program.call("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0);
  const mount = program.call("fsmount", context, FSMOUNT_CLOEXEC, 0);
  program.call("close", context);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const relative = parts.join("/");
  for (let count = 1; count < parts.length; count++) {
    program.call("mkdirat", mount, parts.slice(0, count).join("/"), 0o755);
  }
  program.call("fchdir", mount);
  if (path.startsWith("/")) program.call("chroot", ".");
  bind();
  program.call("fchdir", root);
  if (path.startsWith("/")) program.call("chroot", ".");
  const file = program.call("openat", mount, relative, O.PATH | O.CLOEXEC, 0);
  program.call("dup3", file, service, O.CLOEXEC);
  program.call("unlinkat", mount, relative, 0);
  for (const fd of [file, mount, root]) program.call("close", fd);
}

/**
 * An address that leads to a socket of the images; adds what must be done before it is used.
 *
 * @param service see {@link planBind}
 */
export function planAddress(
  program: SyscallProgram,
  entry: unix_sk_entry,
  service: number | undefined,
): { readonly address: Argument; readonly size: number } {
  let { name } = entry;
  if (isDeleted(entry)) name = new TextEncoder().encode(`/proc/self/fd/${service}`);
  else if (pathOf(name) !== undefined) planDirectory(program, entry);
  const bytes = sockaddr(name);
  return { address: program.data(bytes, nameText(name)), size: bytes.byteLength };
}

/** Adds the call that connects a socket to one of the images. */
export function planConnect(
  program: SyscallProgram,
  fd: Argument,
  entry: unix_sk_entry,
  service: number | undefined,
): void {
  const { address, size } = planAddress(program, entry, service);
  program.call("connect", fd, address, size);
}
