/**
 * Which open files of the images are provided from outside at restore, and by which descriptor of this
 * process.
 *
 * @module
 */
import type { OperationOptions } from "../../core/plugin.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import type { external_entry } from "../../images/gen/external_pb.ts";
import { EXTERNAL } from "../../images/kinds/external.ts";
import { FDINFO } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { uniqueById } from "../../images/unique.ts";
import { isRestoredTerminal, terminalInfos } from "../tty/image.ts";

/** Each is asked for once for every file. */
const known = new WeakMap<ImageDirectory, ReadonlyMap<number, external_entry>>();

/** The entries of `external.img` by the id of the open file description. */
export function externalEntries(images: ImageDirectory): ReadonlyMap<number, external_entry> {
  let byId = known.get(images);
  if (byId === undefined) {
    const entries = images.has(EXTERNAL, null) ? images.readList(EXTERNAL, null) : [];
    byId = uniqueById(entries, ({ id }) => id, images.pathOf(EXTERNAL, null), "file");
    known.set(images, byId);
  }
  return byId;
}

/**
 * Whether a file of the images is to be provided: it is in `external.img`, or it is a terminal whose
 * other end was outside, or the user names its pipe or unix socket (as for images of CRIU, which do not say).
 */
export function isProvided(
  file: file_entry,
  images: ImageDirectory,
  { inheritFds = {} }: OperationOptions,
): boolean {
  if (file.type === fd_types.TTY) return !isRestoredTerminal(file, images);
  if (file.type === fd_types.EXT) return true;
  if (externalEntries(images).has(file.id)) return true;
  const name = objectName(file);
  return name !== undefined && inheritFds[name] !== undefined;
}

/** What /proc calls a pipe or unix socket. */
function objectName({ pipe, usk }: file_entry): string | undefined {
  if (pipe !== undefined) return `pipe:[${pipe.pipeId}]`;
  return usk === undefined ? undefined : `socket:[${usk.ino}]`;
}

/** The descriptor numbers of each open file description in any task, by its id, ascending. */
export function descriptorNumbers(images: ImageDirectory): Map<number, number[]> {
  const numbers = new Map<number, Set<number>>();
  for (const table of images.ids(FDINFO)) {
    for (const { id, fd } of images.readList(FDINFO, table)) {
      const known = numbers.get(id);
      if (known === undefined) numbers.set(id, new Set([fd]));
      else known.add(fd);
    }
  }
  return new Map([...numbers].map(([id, set]) => [id, [...set].sort((a, b) => a - b)]));
}

/** One open file description that is to be provided. */
export interface Wanted {
  readonly id: number;
  /** What it is, for messages and for finding others of the same. */
  readonly name: string;
  /** All names that the user may call it by. */
  readonly names: readonly string[];
  /** Its status flags; undefined where the images do not say. */
  readonly flags: number | undefined;
}

/** Describes every file that is to be provided. */
export function wantedFiles(
  files: readonly file_entry[],
  images: ImageDirectory,
  numbers: ReadonlyMap<number, readonly number[]>,
): Wanted[] {
  const entries = externalEntries(images);
  const ttys = terminalInfos(images);
  return files.map((file) => {
    const entry = entries.get(file.id);
    const names = entry === undefined ? [] : [entry.name];
    if (entry?.path) names.push(entry.path, `tty:${entry.path}`);
    const object = objectName(file);
    if (object !== undefined) names.push(object);
    const tty = ttys.get(file.tty?.ttyInfoId ?? 0);
    if (file.tty !== undefined && tty !== undefined) {
      names.push(`tty[${tty.rdev.toString(16)}:${tty.dev.toString(16)}]`);
    }
    const name = names[0] ?? `open file ${file.id}`;
    // CRIU writes paths without their first slash.
    if (name.startsWith("/")) names.push(name.slice(1));
    for (const number of numbers.get(file.id) ?? []) names.push(`fd[${number}]`);
    const flags = entry?.flags ?? file.pipe?.flags ?? file.usk?.flags ?? file.tty?.flags;
    return { id: file.id, name, names: [...new Set(names)], flags };
  });
}

/** Names that the user has a descriptor for and by which nothing is called that is to be provided. */
export function unwantedNames(
  wanted: readonly Wanted[],
  inheritFds: Readonly<Record<string, number>>,
): string[] {
  const names = new Set(wanted.flatMap(({ names }) => names));
  return Object.keys(inheritFds).filter((name) => !names.has(name));
}

/**
 * Finds the descriptor of this process that stands in for each: the one that the user names, or else the
 * standard stream whose number one of its descriptors has, or one of another description of the same thing.
 *
 * @returns by id; those that nothing stands in for are missing
 */
export function findProviders(
  wanted: readonly Wanted[],
  numbers: ReadonlyMap<number, readonly number[]>,
  inheritFds: Readonly<Record<string, number>>,
): Map<number, number> {
  const standard = new Map<string, number>();
  for (const { id, name } of wanted) {
    const stream = numbers.get(id)?.find((fd) => fd <= 2);
    if (stream !== undefined) standard.set(name, Math.min(stream, standard.get(name) ?? stream));
  }
  const providers = new Map<number, number>();
  for (const { id, name, names } of wanted) {
    const named = names.find((one) => inheritFds[one] !== undefined);
    const own = numbers.get(id)?.find((fd) => fd <= 2);
    const provider = named === undefined ? own ?? standard.get(name) : inheritFds[named];
    if (provider !== undefined) providers.set(id, provider);
  }
  return providers;
}
