/**
 * Entries of `files.img` whose paths do not lead to their files, by `remap-fpath.img`.
 *
 * @module
 */
import { remap_type } from "../../images/gen/paths_pb.ts";
import { REMAP_FPATH } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { uniqueById } from "../../images/unique.ts";
import { PID_LIMIT } from "../../images/validate_tree.ts";
import { StasisError } from "../../base/errors.ts";

/** The ids of the entries of `files.img` that mean deleted files, each with the id of the ghost. */
export function ghostIds(images: ImageDirectory): ReadonlyMap<number, number> {
  return remapsOf(images, remap_type.GHOST);
}

/**
 * The ids of the entries whose names were deleted and that have others which the checkpoint made, each with the id of
 * the entry of that name.
 */
export function linkedIds(images: ImageDirectory): ReadonlyMap<number, number> {
  return remapsOf(images, remap_type.LINKED);
}

/**
 * The ids of the entries that mean files of `/proc` of tasks that are gone, each with the id of the task.
 *
 * @throws {StasisError} `bad-image` where no task has such an id
 */
export function deadTaskIds(images: ImageDirectory): ReadonlyMap<number, number> {
  const ids = remapsOf(images, remap_type.PROCFS);
  for (const [file, pid] of ids) {
    if (pid > 0 && pid < PID_LIMIT) continue;
    const path = images.pathOf(REMAP_FPATH, null);
    const what = `has file ${file} of a task with the impossible id ${pid}`;
    throw new StasisError("bad-image", `${path} ${what}`);
  }
  return ids;
}

function remapsOf(images: ImageDirectory, type: remap_type): ReadonlyMap<number, number> {
  const ids = new Map<number, number>();
  if (!images.has(REMAP_FPATH, null)) return ids;
  const remaps = images.readList(REMAP_FPATH, null);
  uniqueById(remaps, ({ origId }) => origId, images.pathOf(REMAP_FPATH, null), "file");
  for (const { origId, remapId, remapType } of remaps) {
    if (remapType === type) ids.set(origId, remapId);
  }
  return ids;
}
