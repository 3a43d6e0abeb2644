/**
 * Whether the images of a tree can be restored, asked while the tree still lives: they are read back, loaded and
 * planned as a restore would do it, which has no side effect. What would only be found out when the tree is gone
 * keeps it alive.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { inventory_entrySchema } from "../../images/gen/inventory_pb.ts";
import { CORE, INVENTORY } from "../../images/kinds/core.ts";
import { encodeFile, ImageDirectory, type ImageWriter } from "../../images/mod.ts";
import { imageFileName } from "../../images/kind.ts";
import { StasisError } from "../../base/errors.ts";
import { collectGarbage } from "../garbage.ts";
import type { Cancellation } from "../cancellation.ts";
import { SMALL_FILES } from "../linux/small_files.ts";
import { crc32 } from "../linux/x86_64/crc32_ffi.ts";
import type { CheckpointParent, OperationOptions, Plugin } from "../plugin.ts";
import { makePlan } from "../restore/make_plan.ts";
import type { CoreOf } from "./frozen_tree.ts";

/** What is looked at, and how. */
export interface Rehearsal {
  /** The root of the tree. */
  readonly pid: number;
  /** Has all images but the inventory, which is written last. */
  readonly writer: ImageWriter;
  /** The core images that it does not have yet either. */
  readonly unwritten: readonly CoreOf[];
  /** How many threads there are. */
  readonly count: number;
  /** The inventory as it will be. */
  readonly inventory: MessageInitShape<typeof inventory_entrySchema>;
  /** The checkpoint before, which the restore needs too. */
  readonly before?: CheckpointParent;
  /** All plugins. */
  readonly plugins: readonly Plugin[];
  /** Options of the checkpoint. */
  readonly options: OperationOptions;
  /** That of the checkpoint, with the limit of the time for which the tree may stand still. */
  readonly cancellation: Cancellation;
}

/**
 * Loads and plans the restore of a tree from the images that are being written.
 *
 * @throws {StasisError} with everything that stands against a restore on this machine; `cancelled`, `timeout`
 */
export async function verifyRestorable(rehearsal: Rehearsal): Promise<void> {
  const { pid, writer, inventory, plugins, options, cancellation } = rehearsal;
  writer.flushLists();
  collectGarbage(rehearsal.count);
  // Of thousands of threads there is one encoded image at a time.
  const unwritten = new Map(
    rehearsal.unwritten.map(({ tid, core }) => [
      imageFileName(CORE, tid),
      () => encodeFile(CORE, core),
    ]),
  );
  unwritten.set(imageFileName(INVENTORY, null), () => encodeFile(INVENTORY, inventory));
  try {
    await makePlan({
      directory: writer.path,
      rehearsed: ImageDirectory.open(writer.path, {
        unwritten,
        crc32,
        small: SMALL_FILES,
        remembered: rehearsal.before?.images.remembered,
      }),
      plugins,
      // Files that change are the business of the restore's user, who can say that they may.
      options: { ...options, fileValidation: "none" },
      cancellation,
      listener: () => {},
    });
  } catch (error) {
    if (!(error instanceof StasisError) || cancellation.isOver) throw error;
    throw notRestorable(error, pid);
  }
}

function notRestorable(error: StasisError, pid: number): StasisError {
  const many = error.problems.length > 0;
  const why = many ? "" : `: ${error.message}`;
  return new StasisError(
    // What is in conflict with this machine at a restore is here what cannot be saved.
    error.code === "conflict" ? "unsupported" : error.code,
    `the images of task ${pid} could not be restored here, so it runs on${why}`,
    {
      pid,
      errno: error.errno,
      problems: error.problems,
      plugin: error.plugin,
      hint: error.hint,
      cause: error,
    },
  );
}
