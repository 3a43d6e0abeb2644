/**
 * Names of threads that are no UTF-8: where CRIU's images have text, `task.img` has the bytes.
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { TASK_EXTRA } from "../../plugins/task/image.ts";

/** Those of them, as strings that lose no byte, by tid. */
export function oddNames(images: ImageDirectory): ReadonlyMap<number, string> {
  const extras = images.has(TASK_EXTRA, null) ? images.readList(TASK_EXTRA, null) : [];
  return new Map(
    extras.flatMap(({ tid, comm }) => comm.length > 0 ? [[tid, decodeBytes(comm)]] : []),
  );
}
