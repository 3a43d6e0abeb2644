/**
 * Names of sockets that cannot be given again on this machine.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { type FileInfo, isMissing, lstatPath, statPath } from "../../core/linux/files.ts";
import { readUnixSockets } from "../../core/linux/net/sock_diag.ts";
import { SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import { decodeUserDevice, encodeKernelDevice } from "../../images/device.ts";
import { filePath, isDeleted } from "./bind.ts";
import type { SavedSocket } from "./group.ts";
import { nameKey, nameText, pathOf } from "./name.ts";

type Finding = Omit<Problem, "plugin">;

/**
 * Looks at every name once.
 *
 * @param alive whether the saved sockets themselves are still there, and have their names
 */
export function nameProblems(saved: readonly SavedSocket[], alive: boolean): Finding[] {
  const named = new Map<string, SavedSocket>();
  for (const socket of saved) {
    const { name } = socket.entry;
    if (name.byteLength > 0 && !isDeleted(socket.entry)) {
      named.set(`${filePath(socket)} ${nameKey(name)}`, socket);
    }
  }
  if (named.size === 0) return [];
  const own = new Set(alive ? saved.map(({ entry }) => entry.ino) : []);
  const live = [...readUnixSockets().values()]
    .filter(({ name, ino }) => name.byteLength > 0 && !own.has(Number(ino)));
  return [...named.values()].flatMap((socket) => nameProblem(socket, live) ?? []);
}

/**
 * Tells whether a name leads to a socket: one keeps its name when the file of that is deleted or comes to lie elsewhere,
 * and the same path may be another file where its program lives.
 */
export function leadsTo(name: Uint8Array): (socket: UnixSocket) => boolean {
  const path = pathOf(name);
  if (path === undefined) return (socket) => nameKey(socket.name) === nameKey(name);
  let found: FileInfo | undefined;
  try {
    found = lookAt(path, statPath);
  } catch {
    // Who may not look there could not connect there.
  }
  return (socket) => found !== undefined && isBoundTo(socket, found, name);
}

/** Why a socket cannot be connected to its name outside of the tree. */
export function outsideProblem({ entry, outside }: SavedSocket): Finding | undefined {
  if (outside === undefined) return undefined;
  const isThere = leadsTo(outside);
  const isTheirs = (one: UnixSocket): boolean =>
    one.type === entry.type && (one.type === SOCK.DGRAM || one.state === STATE.LISTEN) &&
    isThere(one);
  if (readUnixSockets().values().some(isTheirs)) return undefined;
  return {
    what: `nobody has the name ${nameText(outside)}, to which socket:[${entry.ino}] was connected`,
    hint: "start the program that listens there, or give a socket in its place: " +
      `--inherit-fd 'fd[N]:socket:[${entry.ino}]'`,
  };
}

function nameProblem(socket: SavedSocket, live: readonly UnixSocket[]): Finding | undefined {
  const { entry } = socket;
  const { name } = entry;
  const taken = (by: UnixSocket | undefined): Finding | undefined =>
    by === undefined ? undefined : {
      what: `the name ${
        nameText(name)
      } of socket:[${entry.ino}] is taken by another socket, socket:[${by.ino}]`,
      hint: "end the program that has it (ss -xp tells which)",
    };
  const path = pathOf(name);
  if (path === undefined) {
    return taken(live.find((one) => nameKey(one.name) === nameKey(name)));
  }
  const whole = filePath(socket);
  if (whole?.startsWith("/") !== true) {
    return {
      what: `the images do not say in which directory the name ${
        nameText(name)
      } of socket:[${entry.ino}] is`,
    };
  }
  const parent = whole.slice(0, whole.lastIndexOf("/")) || "/";
  let found: FileInfo | undefined;
  try {
    // It may be a symbolic link to one: /var/run is.
    if (lookAt(parent, statPath)?.isDirectory !== true) {
      return {
        what: `the directory ${parent} of socket ${nameText(name)} does not exist`,
        hint: "make it again",
      };
    }
    found = lookAt(whole, lstatPath);
  } catch (error) {
    return { what: `${whole}, the name of socket:[${entry.ino}], cannot be looked at: ${error}` };
  }
  if (found === undefined) return undefined;
  if (!found.isSocket) {
    return {
      what: `${whole}, the name of socket:[${entry.ino}], is another file now`,
      hint: "move it out of the way",
    };
  }
  // What nobody is bound to any more is left over from before.
  return taken(live.find((one) => isBoundTo(one, found, name)));
}

/**
 * Whether a socket is bound to a file. Some file systems tell user space another device than the kernel knows
 * (btrfs): then the name has to be the same.
 */
function isBoundTo(
  { file, name }: UnixSocket,
  { ino, dev }: FileInfo,
  by: Uint8Array,
): boolean {
  if (file === undefined || file.ino !== ino >>> 0) return false;
  const device = encodeKernelDevice(decodeUserDevice(dev));
  return file.dev === device || nameKey(name) === nameKey(by);
}

/** @throws what stands against looking, but for that nothing is there */
function lookAt(path: string, look: (path: string) => FileInfo): FileInfo | undefined {
  try {
    return look(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
