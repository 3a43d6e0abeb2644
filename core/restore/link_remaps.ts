/**
 * Names that a checkpoint has made of files (`--link-remap`) at restore: whether each leads to its file still, and how it
 * is taken away when the tree runs. Nothing but that file may be taken for it, or deleted.
 *
 * @module
 */
import { decodeUserDevice, encodeKernelDevice } from "../../images/device.ts";
import type { link_remap_entry } from "../../images/gen/paths_pb.ts";
import { LINK_REMAPS } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { uniqueById } from "../../images/unique.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { type FileInfo, lstatPath } from "../linux/files.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { ListedCall } from "../remote/undo.ts";

/** Which file is meant. */
export type LinkedFile = Pick<link_remap_entry, "dev" | "ino">;

/**
 * The files that have such names, by the ids of the entries that have those. CRIU's images have none.
 *
 * @throws {StasisError} `bad-image` where an id is there twice
 */
export function linkedFiles(images: ImageDirectory): ReadonlyMap<number, LinkedFile> {
  if (!images.has(LINK_REMAPS, null)) return new Map();
  const entries = images.readList(LINK_REMAPS, null);
  return uniqueById(entries, ({ id }) => id, images.pathOf(LINK_REMAPS, null), "file");
}

/** Whether a file is the one that is meant. */
function isLinkedFile(
  { dev, ino }: Pick<FileInfo, "dev" | "ino">,
  meant: LinkedFile,
): boolean {
  // Inodes of more than 53 bits lose the same bits on both sides.
  return encodeKernelDevice(decodeUserDevice(dev)) === meant.dev && ino === Number(meant.ino);
}

/** Why a name may not be used in place of the one that a file had; undefined where it leads to it, or to nothing. */
export function linkRemapProblem(
  path: string,
  meant: LinkedFile | undefined,
): { readonly what: string; readonly hint: string } | undefined {
  const found = lookAt(path);
  if (found === undefined || meant !== undefined && isLinkedFile(found, meant)) return undefined;
  return {
    what: meant === undefined
      ? `nothing tells whether ${path} is the file that the checkpoint meant`
      : `${path} is another file than the one that the checkpoint meant`,
    hint: "if you are sure that it is the file, pass --ignore-file-change; the name stays then",
  };
}

/** What has a name; undefined where it cannot be looked at, as one that is gone. */
function lookAt(path: string): FileInfo | undefined {
  try {
    return lstatPath(path);
  } catch {
    return undefined;
  }
}

/** The calls that take away those names that lead to their files now, for whoever outlives this process. */
export function linkRemapRemovals(
  names: Iterable<readonly [path: string, meant: LinkedFile | undefined]>,
): ListedCall[] {
  return [...names].flatMap(([path, meant]) => {
    const found = lookAt(path);
    if (found === undefined || meant === undefined || !isLinkedFile(found, meant)) return [];
    return [{ name: "unlink", args: [cString(path)] }];
  });
}

/**
 * Takes the names away, but those that have become another file's.
 *
 * @param names each with its file; undefined where nothing tells of that
 * @param note is told of those that stay
 */
export function deleteLinkRemaps(
  names: Iterable<readonly [path: string, meant: LinkedFile | undefined]>,
  note: (text: string) => void,
): void {
  for (const [path, meant] of names) {
    const found = lookAt(path);
    if (found === undefined) continue;
    if (meant === undefined || !isLinkedFile(found, meant)) {
      note(`the name ${path} stays: nothing tells that it is still the file of the checkpoint`);
      continue;
    }
    const result = syscall(SYSCALLS.unlink, cString(path));
    if (!isErrno(result)) continue;
    const why = errnoName(-result);
    note(`the name ${path}, which the checkpoint had made, cannot be deleted: ${why}`);
  }
}
