/**
 * First threads that have ended while others of their process live.
 *
 * @module
 */
import type { ImageDirectory } from "../../images/mod.ts";
import { present } from "../../images/present.ts";
import { TASK_EXTRA } from "../../plugins/task/image.ts";

/** How they have ended, as wait(2) tells it, by pid. */
export function leaderStatuses(images: ImageDirectory): ReadonlyMap<number, number> {
  const extras = images.has(TASK_EXTRA, null) ? images.readList(TASK_EXTRA, null) : [];
  return new Map(extras.flatMap((extra) => {
    const status = present(extra, "leaderStatus");
    return status === undefined ? [] : [[extra.pid, status]];
  }));
}
