/**
 * The checkpoint before, to which a new one leaves what has not changed.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PSTREE } from "../../images/kinds/core.ts";
import { checkpointsOf, MOST_CHECKPOINTS, stateSum } from "../../images/layers.ts";
import { ImageDirectory } from "../../images/mod.ts";
import { crc32 } from "../linux/x86_64/crc32_ffi.ts";
import type { CheckpointParent } from "../plugin.ts";

/**
 * Opens it, before anything is done to the tree.
 *
 * @param pid the root of the tree
 * @param most how many checkpoints a chain may have, with the new one
 * @param note is told why it is not used, where it cannot be
 * @throws {StasisError} `usage` where it is of another tree, or was not made by Stasis; `bad-image`, `io`
 */
export function openParent(
  directory: string,
  pid: number,
  most: number = MOST_CHECKPOINTS,
  note: (text: string) => void = () => {},
): CheckpointParent | undefined {
  const images = ImageDirectory.open(directory, { crc32 });
  images.verify();
  const [root] = images.readList(PSTREE, null);
  if (root?.pid !== pid) {
    throw new StasisError(
      "usage",
      `${images.path} cannot be the parent: it is a checkpoint of process ${root?.pid}, not of ${pid}`,
      { pid, hint: "name the checkpoint of this tree before, or none" },
    );
  }
  const sum = stateSum(images);
  if (sum === undefined) {
    throw new StasisError(
      "usage",
      `${images.path} cannot be the parent: it has no manifest, by which it would be known again`,
      { pid, hint: "name a checkpoint that Stasis has made, or none" },
    );
  }
  const count = checkpointsOf(images).length;
  if (count < most) return { images, sum };
  note(`${images.path} needs ${count - 1} parents already, so this checkpoint is whole again`);
  return undefined;
}
