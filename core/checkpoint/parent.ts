/**
 * The checkpoint before, to which a new one leaves what has not changed.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PSTREE } from "../../images/kinds/core.ts";
import { checkpointsOf, MOST_CHECKPOINTS, stateSum } from "../../images/layers.ts";
import { ImageDirectory } from "../../images/mod.ts";
import { Remembered } from "../../images/remembered.ts";
import { crc32 } from "../linux/x86_64/crc32_ffi.ts";
import type { CheckpointParent } from "../plugin.ts";

/**
 * Opens it, before anything is done to the tree.
 *
 * @param pid the root of the tree
 * @param most how many checkpoints a chain may have, with the new one
 * @param note is told why it is not used, where it cannot be
 * @param remembered what checkpoints before this one have made of their parents
 * @throws {StasisError} `usage` where it is of another tree, or was not made by Stasis; `bad-image`, `io`
 */
export function openParent(
  directory: string,
  pid: number,
  most: number = MOST_CHECKPOINTS,
  note: (text: string) => void = () => {},
  remembered: Remembered = new Remembered(),
): CheckpointParent | undefined {
  // A link such as `latest` may lead elsewhere tomorrow.
  const images = ImageDirectory.open(realPath(directory), { crc32, remembered });
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

function realPath(directory: string): string {
  try {
    return Deno.realPathSync(directory);
  } catch {
    return directory; // what is wrong with it is told by who opens it
  }
}

/** What tells a checkpoint that has just been made from others; undefined where that cannot be told any more. */
export function sumOf(directory: string): number | undefined {
  try {
    return stateSum(ImageDirectory.open(directory, { crc32 }));
  } catch {
    return undefined; // it is there all the same, and nothing is known of changes since
  }
}
