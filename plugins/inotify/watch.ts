/**
 * A watch of an inotify instance as the image has it. Pure.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../../base/errors.ts";
import type { FileIdentity } from "../../core/linux/file_identity.ts";
import type { InotifyWatch } from "../../core/linux/procfs/mod.ts";
import { decodeKernelDevice, encodeKernelDevice } from "../../images/device.ts";
import { encodeHandle } from "../../images/file_handle.ts";
import type {
  inotify_file_entry,
  inotify_wd_entry,
  inotify_wd_entrySchema,
} from "../../images/gen/watches_pb.ts";

/** Watch descriptors are ints, and counted from 1. */
const LAST = 2 ** 31 - 1;

/** The image of a watch. @param path one that leads to the file */
export function encodeWatch(
  { wd, ino, dev, mask, handle }: InotifyWatch,
  id: number,
  path: string,
): MessageInitShape<typeof inotify_wd_entrySchema> {
  return {
    id,
    iIno: ino,
    mask,
    ignoredMask: 0,
    sDev: encodeKernelDevice(dev),
    wd,
    fHandle: encodeHandle(handle, path),
  };
}

/** The file that a watch of an image is on. */
export function fileOf({ iIno, sDev }: inotify_wd_entry): FileIdentity {
  return { inode: iIno, dev: decodeKernelDevice(sDev) };
}

/**
 * Checks what images say, which may be damaged or hostile.
 *
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image`
 */
export function validateWatches(instances: readonly inotify_file_entry[], file: string): void {
  for (const { id, wd: watches } of instances) {
    const known = new Set<number>();
    for (const { wd, fHandle } of watches) {
      const path = fHandle?.path ?? "";
      const why = wd < 1 || wd > LAST
        ? "of a number that there is not"
        : known.has(wd)
        ? "that is there twice"
        : path !== "" && (!path.startsWith("/") || path.includes("\0"))
        ? "whose path is no full one"
        : undefined;
      if (why !== undefined) {
        throw new StasisError("bad-image", `${file} has in file ${id} a watch, ${wd}, ${why}`);
      }
      known.add(wd);
    }
  }
}
