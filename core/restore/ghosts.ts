/**
 * Deleted files at restore. Each is made anew under the name that it had, kept hold of by a descriptor of the
 * seed, which every task inherits, and deleted again at once, before anything is written to it
 * (`temporary_names.ts`): so nothing is left behind whatever happens later. Whoever needs the file opens it
 * through that descriptor.
 *
 * The descriptor that is kept is of O_PATH: one for writing would forbid to execute the file. It is opened
 * by each name that the file had, since what the kernel tells of an open file's path is the name by which it
 * was opened. What cannot be opened through /proc (O_NOFOLLOW, O_PATH of a symbolic link) is opened by name
 * here, and so is the file of open(O_TMPFILE), which has none and may be given one later.
 *
 * A file that lives on under another name, which the checkpoint has given it, gets the one that it had in the same way;
 * that other name is taken away when the tree runs.
 *
 * @module
 */
import type { reg_file_entry } from "../../images/gen/paths_pb.ts";
import { isLinkRemap } from "../../images/link_remap.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import { AT_FDCWD, F, O, SETFL_MASK } from "../linux/fcntl.ts";
import { isMissing, lstatPath, statPath } from "../linux/files.ts";
import type { TreePlanner } from "../plugin.ts";
import type { CallResult, SyscallProgram } from "../remote/program.ts";
import { ghostIds, linkedIds } from "./file_remaps.ts";
import {
  emptyFile,
  type GhostContents,
  planContents,
  planMake,
  planProperties,
  readGhost,
} from "./ghost_file.ts";
import { type LinkedFile, linkedFiles } from "./link_remaps.ts";
import { reopenFlags } from "./owner.ts";
import type { TemporaryNames } from "./temporary_names.ts";

const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFDIR = 0o040000, S_IFIFO = 0o010000;
/** A deleted file and the entries that mean it. */
interface Ghost {
  readonly id: number;
  readonly contents: GhostContents;
  readonly users: readonly reg_file_entry[];
}

/** How a deleted file is made, or found. */
interface Making {
  /** Tells its names from those of others. */
  readonly id: number;
  /** With the file's type. */
  readonly mode: number;
  /** Adds the call that gives it a name. */
  make(program: SyscallProgram, path: string): CallResult;
  /** Adds calls that need one of its names. */
  finish(program: SyscallProgram, path: string): void;
}

/** How the tasks get at an entry's file. */
interface Handle {
  readonly service: number;
  /** The entry's own description, or one to open the file through. */
  readonly own: boolean;
}

/** A file of `/proc` of a task that is gone. */
export interface DeadTaskFile {
  readonly path: string;
  readonly flags: number;
  readonly pos: bigint;
  /** The number that it is kept under. */
  readonly service: number;
}

/** The entries of `files.img` that mean files which are not there where the tree is restored, and come back as such. */
export interface AbsentFiles {
  /** Files of `/proc` of tasks that are gone: the id of the task, by that of the entry. */
  readonly dead: ReadonlyMap<number, number>;
  /** Files of events, by the ids of their entries. */
  readonly events: ReadonlySet<number>;
}

/** What ghosts are planned for. */
export type GhostPlanner = TreePlanner & {
  readonly names: TemporaryNames;
  /** The files of `/proc` that are opened while there are tasks of these ids, under service numbers. */
  readonly deadTasks: Map<number, DeadTaskFile[]>;
  /** Names that the checkpoint has made, which are deleted when the tree runs, each with its file if that is known. */
  readonly linkRemaps: Map<string, LinkedFile | undefined>;
};

/** The deleted files of a tree. */
export class Ghosts {
  readonly #images: ImageDirectory;
  readonly #handles = new Map<number, Handle>();

  constructor(images: ImageDirectory) {
    this.#images = images;
  }

  /**
   * Adds the making of all ghosts.
   *
   * @param entryOf a regular file entry by its id
   * @param absent what is not there any more beside them
   * @param note is told of a file that is made under another name, which `/proc` will go on showing
   * @throws {StasisError} `conflict` where a file cannot be made; `bad-image`
   */
  plan(
    tree: GhostPlanner,
    entryOf: (id: number) => reg_file_entry,
    absent: AbsentFiles,
    note: (text: string) => void,
  ): void {
    const users = Map.groupBy(ghostIds(this.#images), ([, ghost]) => ghost);
    for (const [id, entries] of users) {
      const contents = readGhost(this.#images, id);
      const ghost = { id, contents, users: entries.map(([user]) => entryOf(user)) };
      for (const { id: user } of ghost.users) this.#checkPath(tree, user);
      const temporary = ghost.users.find(({ flags }) => (flags & O.TMPFILE) !== 0);
      if (temporary === undefined) this.#planGhost(tree, ghost, note);
      else this.#planTemporary(tree, ghost, temporary);
    }
    const linked = linkedFiles(this.#images);
    const links = Map.groupBy(linkedIds(this.#images), ([, link]) => link);
    for (const [link, entries] of links) {
      const name = this.#planLinked(
        tree,
        entryOf(link),
        entries.map(([user]) => entryOf(user)),
        note,
      );
      tree.linkRemaps.set(name, linked.get(link));
    }
    // Those of one path were one file, as far as anybody knows.
    for (const [path, ids] of Map.groupBy(absent.events, (id) => tree.files.pathOf(id))) {
      const lost = ids.map(entryOf);
      const [{ id, mode }] = lost as [reg_file_entry];
      this.#checkPath(tree, id);
      this.#planGhost(tree, { id, contents: emptyFile(path, mode), users: lost }, note);
    }
    for (const [id, pid] of absent.dead) this.#planDead(tree, pid, entryOf(id));
  }

  #planDead(tree: GhostPlanner, pid: number, { id, flags, pos }: reg_file_entry): void {
    const service = tree.service();
    this.#handles.set(id, { service, own: true });
    const how = reopenFlags(flags) & ~O.CLOEXEC | O.NOCTTY;
    const file = { path: tree.files.pathOf(id), flags: how, pos, service };
    const files = tree.deadTasks.get(pid);
    if (files === undefined) tree.deadTasks.set(pid, [file]);
    else files.push(file);
  }

  /** Adds the call that opens an entry's file if that is a ghost. @returns undefined if it is none */
  open(program: SyscallProgram, id: number, flags: number): CallResult | undefined {
    const handle = this.#handles.get(id);
    if (handle === undefined) return undefined;
    if (handle.own) return program.call("fcntl", handle.service, F.DUPFD_CLOEXEC, 0);
    const through = flags & ~(O.NOFOLLOW | O.TMPFILE);
    return program.call("openat", AT_FDCWD, `/proc/self/fd/${handle.service}`, through, 0);
  }

  #checkPath({ files }: GhostPlanner, id: number): void {
    if (isFullPath(files.pathOf(id))) return;
    const { path } = this.#images;
    throw new StasisError("bad-image", `the deleted file ${id} of ${path} had no full path`);
  }

  /** A file that is made anew under the name that it had, with its contents. */
  #planGhost(tree: GhostPlanner, ghost: Ghost, note: (text: string) => void): void {
    const { id, contents, contents: { file }, users } = ghost;
    const isRegular = (file.mode & S_IFMT) === S_IFREG;
    const made = this.#planNamed(tree, users, {
      id,
      mode: file.mode,
      make: (program, path) => planMake(program, path, file),
      finish(program, path) {
        if (!isRegular) planProperties(program, AT_FDCWD, path, file);
      },
    }, note);
    if (!isRegular) return;
    const service = tree.service();
    tree.names.keep(made, service);
    const [user] = users as [reg_file_entry];
    planContents(tree, service, contents, tree.files.pathOf(user.id));
    planProperties(tree.seed, service, undefined, file);
    tree.seed.call("close", service);
  }

  /**
   * A file that has the name that it had for a moment, beside the one that the checkpoint has made for it.
   *
   * @returns that one
   */
  #planLinked(
    tree: GhostPlanner,
    link: reg_file_entry,
    users: readonly reg_file_entry[],
    note: (text: string) => void,
  ): string {
    const { files } = tree;
    for (const { id } of [link, ...users]) this.#checkPath(tree, id);
    const name = files.pathOf(link.id);
    if (!isLinkRemap(name)) {
      const { path } = this.#images;
      throw new StasisError(
        "bad-image",
        `${path} has the file ${name} as another's temporary name`,
      );
    }
    this.#planNamed(tree, users, {
      id: link.id,
      mode: link.mode,
      make: (program, path) => program.call("linkat", AT_FDCWD, name, AT_FDCWD, path, 0),
      finish() {},
    }, note);
    return name;
  }

  /** @returns the call that has made it */
  #planNamed(
    tree: GhostPlanner,
    users: readonly reg_file_entry[],
    file: Making,
    note: (text: string) => void,
  ): CallResult {
    const { names: { program }, names: temporary } = tree;
    const names = new Map<string, string>();
    for (const { id } of users) {
      const path = tree.files.pathOf(id);
      if (names.has(path)) continue;
      const name = freeName(path, file.id);
      names.set(path, name);
      if (name !== path) {
        note(`another file is called ${path} by now: the deleted one is shown as ${name}`);
      }
    }
    const paths = [...names.values()];
    const removeParents = planParents(temporary, new Set(paths.flatMap(missingParents)));
    const [first] = paths as [string];
    const how = (file.mode & S_IFMT) === S_IFDIR ? "rmdir" : "unlink";
    const made = file.make(program, first);
    const remove = [temporary.made(made, how, first)];
    for (const path of paths.slice(1)) {
      const linked = program.call("linkat", AT_FDCWD, first, AT_FDCWD, path, 0);
      remove.push(temporary.made(linked, how, path));
    }
    file.finish(program, first);
    const kept: [fd: CallResult, service: number][] = [];
    for (const [path, name] of names) {
      const hold = (flags: number): number => {
        const service = tree.service();
        const fd = program.call("openat", AT_FDCWD, name, flags | O.NOFOLLOW, 0);
        kept.push([fd, service]);
        return service;
      };
      const through = hold(O.PATH);
      for (const { id, flags } of users) {
        if (tree.files.pathOf(id) !== path) continue;
        const own = isOwn(flags, file.mode);
        this.#handles.set(id, { service: own ? hold(ownFlags(flags)) : through, own });
      }
    }
    for (const one of remove) one();
    removeParents();
    for (const [fd, service] of kept) temporary.keep(fd, service);
    return made;
  }

  /** The file of open(O_TMPFILE): its maker's own description is the one that makes it. */
  #planTemporary(tree: GhostPlanner, ghost: Ghost, maker: reg_file_entry): void {
    const { seed, names } = tree;
    const path = tree.files.pathOf(maker.id);
    const directory = path.slice(0, path.lastIndexOf("/")) || "/";
    const removeParents = planParents(names, missingParents(path));
    // sendfile(2) does not append.
    const flags = maker.flags & ~(O.APPEND | O.ASYNC | O.DIRECT) | O.TMPFILE | O.DIRECTORY;
    const fd = names.program.call("openat", AT_FDCWD, directory, flags, 0o600);
    removeParents();
    const service = tree.service();
    names.keep(fd, service);
    planContents(tree, service, ghost.contents, path);
    seed.call("lseek", service, 0, 0);
    planProperties(seed, service, undefined, ghost.contents.file);
    if ((maker.flags & (O.APPEND | O.DIRECT)) !== 0) {
      seed.call("fcntl", service, F.SETFL, maker.flags & SETFL_MASK & ~O.ASYNC);
    }
    for (const { id } of ghost.users) this.#handles.set(id, { service, own: id === maker.id });
  }
}

/** Whether a path is as the kernel tells it: from the root, and with neither `.` nor `..` on the way. */
function isFullPath(path: string): boolean {
  return path.startsWith("/") &&
    path.slice(1).split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Whether only a description that was opened by name, and not through /proc, is like this one. */
function isOwn(flags: number, mode: number): boolean {
  if ((flags & O.NOFOLLOW) === 0) return false;
  // A fifo is opened in a certain order, by the task.
  return (flags & O.PATH) !== 0 || (mode & S_IFMT) !== S_IFIFO;
}

function ownFlags(flags: number): number {
  return flags & ~(O.CREAT | O.EXCL | O.TRUNC | O.ASYNC) | O.NOCTTY;
}

/** Adds calls that make directories, outermost first. @returns adds those that take them away */
function planParents(names: TemporaryNames, missing: Iterable<string>): () => void {
  const remove = [...missing].map((path) =>
    names.made(names.program.call("mkdirat", AT_FDCWD, path, 0o700), "rmdir", path)
  );
  return () => {
    for (const one of remove.reverse()) one();
  };
}

function exists(path: string): boolean {
  try {
    lstatPath(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** The path itself, or one beside it if somebody has that by now. */
export function freeName(
  path: string,
  id: number,
  taken: (path: string) => boolean = exists,
): string {
  let name = path;
  for (let attempt = 0; taken(name); attempt++) {
    name = `${path}.stasis-${id}${attempt === 0 ? "" : `-${attempt}`}`;
  }
  return name;
}

/** The directories above a path that do not exist, outermost first. @throws {StasisError} `conflict` */
function missingParents(path: string): string[] {
  const missing: string[] = [];
  for (let at = parentOf(path); at !== "/"; at = parentOf(at)) {
    try {
      if (statPath(at).isDirectory) break;
    } catch (error) {
      if (!isMissing(error)) {
        throw new StasisError("conflict", `the deleted file ${path} cannot be made: ${error}`);
      }
      missing.unshift(at);
      continue;
    }
    throw new StasisError("conflict", `the deleted file ${path} was in a directory ${at}`, {
      hint: "something else has that path now: move it away",
    });
  }
  return missing;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
