/**
 * Image directories in the making: hidden, beside the one that is wanted, locked by who writes them. The lock dies
 * with its owner, so that the next one sees what nobody will ever finish, and deletes it.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { ioError } from "../base/io_error.ts";
import { type OutsideName, readOutsideNames } from "./outside_names.ts";
import { lastName, parentPath } from "./path.ts";

/**
 * Locks a directory, without waiting: the lock, or `busy` where somebody has it (or the directory is gone), or
 * `unsupported` where the file system has none.
 */
export type LockDirectory = (path: string) => Disposable | "busy" | "unsupported";

/** `.NAME.partial-` and 16 digits: 8 at random, 8 that say who made it. */
const NAME = /^\.(.*)\.partial-([0-9a-f]{8})([0-9a-f]{8})$/s;

/** Whether a directory's name is that of a partial one. */
export function isPartialName(name: string): boolean {
  return NAME.test(name);
}

/** A partial directory of ours. */
export interface Partial {
  /** Its path. */
  readonly path: string;
  /** Held until it is complete; undefined where the file system has no locks. */
  readonly lock: Disposable | undefined;
}

/**
 * Makes a partial directory for a target, mode 0700, and locks it.
 *
 * @param target the directory that is wanted, absolute
 * @param machine see {@link machineId}
 * @throws {StasisError} `io`
 */
export function createPartial(target: string, lock: LockDirectory, machine = machineId()): Partial {
  const name = lastName(target).slice(0, 60);
  for (;;) {
    const random = hex(crypto.getRandomValues(new Uint32Array(1))[0]!);
    const path = `${parentPath(target)}/.${name}.partial-${random}${mark(name, random, machine)}`;
    try {
      Deno.mkdirSync(path, { mode: 0o700 });
    } catch (cause) {
      throw cannotCreate(path, cause);
    }
    const locked = lock(path);
    // Somebody who clears up was quicker than the lock: then this one is gone, or will be.
    if (locked === "busy") continue;
    return { path, lock: locked === "unsupported" ? undefined : locked };
  }
}

/** In some file systems, as proc, no directory can be made, which the kernel says as if the one above it were not there. */
function cannotCreate(path: string, cause: unknown): StasisError {
  const error = ioError(`create ${path}`, cause);
  const parent = parentPath(path);
  if (error.errno !== "ENOENT" || !isDirectory(parent)) return error;
  return new StasisError("io", `no directory can be made in ${parent}: ENOENT`, {
    errno: error.errno,
    hint: "name a directory on another file system",
    cause,
  });
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Deletes the partial directories beside a target whose owners have died. Not touched is what somebody holds, what is
 * another user's, what another machine made (its locks may not be seen here) and what is only called alike.
 *
 * @param removeName takes away what such an owner has made outside, if it is that still
 * @returns the paths of those that are gone now
 */
export function removeAbandoned(
  target: string,
  lock: LockDirectory,
  machine = machineId(),
  removeName: (name: OutsideName) => void = () => {},
): string[] {
  const parent = parentPath(target);
  const removed: string[] = [];
  for (const name of namesIn(parent)) {
    const [, base, random, made] = NAME.exec(name) ?? [];
    if (base === undefined || mark(base, random as string, machine) !== made) continue;
    const path = `${parent}/${name}`;
    try {
      const { isDirectory, uid } = Deno.lstatSync(path);
      if (!isDirectory || uid !== Deno.uid()) continue;
      const locked = lock(path);
      if (typeof locked === "string") continue;
      using _ = locked;
      readOutsideNames(path).forEach(removeName);
      Deno.removeSync(path, { recursive: true });
      removed.push(path);
    } catch {
      // Somebody else was quicker, or it may not be deleted: neither stands in the way of what is to be written.
    }
  }
  return removed;
}

function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch {
    return []; // what stands against writing there is told by who does it
  }
}

/**
 * What tells this machine from others that may have the same file system: the id of its installation, or of this boot
 * where it has none. Locks are only trusted between processes of one machine.
 */
export function machineId(): string {
  for (const path of ["/etc/machine-id", "/proc/sys/kernel/random/boot_id"]) {
    try {
      const text = Deno.readTextFileSync(path).trim();
      if (text !== "") return text;
    } catch {
      // the next one
    }
  }
  return "";
}

/** Says of a name that this program made it on this machine: 32 bits of FNV-1a. */
function mark(base: string, random: string, machine: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`stasis\0${base}\0${random}\0${machine}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hex(hash);
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
