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
import type { Cancellation } from "../cancellation.ts";
import { crc32 } from "../linux/x86_64/crc32_ffi.ts";
import type { FrozenTree, OperationOptions, Plugin } from "../plugin.ts";
import { makePlan } from "../restore/make_plan.ts";
import { coresOf } from "./frozen_tree.ts";

/** What is looked at, and how. */
export interface Rehearsal {
  readonly tree: FrozenTree;
  /** Has all images but those that are written last: the inventory, and those of threads. */
  readonly writer: ImageWriter;
  /** Whether it has those of threads, too. */
  readonly hasCores: boolean;
  /** The inventory as it will be. */
  readonly inventory: MessageInitShape<typeof inventory_entrySchema>;
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
  const { tree, writer, hasCores, inventory, plugins, options, cancellation } = rehearsal;
  writer.flushLists();
  const threads = hasCores ? [] : tree.tasks.flatMap(coresOf);
  const unwritten = new Map(
    threads.map(({ tid, core }) => [imageFileName(CORE, tid), encodeFile(CORE, core)]),
  );
  unwritten.set(imageFileName(INVENTORY, null), encodeFile(INVENTORY, inventory));
  try {
    await makePlan({
      directory: writer.path,
      rehearsed: ImageDirectory.open(writer.path, { unwritten, crc32 }),
      plugins,
      // Files that change are the business of the restore's user, who can say that they may.
      options: { ...options, fileValidation: "none" },
      cancellation,
      listener: () => {},
    });
  } catch (error) {
    if (!(error instanceof StasisError) || cancellation.isOver) throw error;
    throw notRestorable(error, tree.tasks[0]?.pid);
  }
}

function notRestorable(error: StasisError, pid: number | undefined): StasisError {
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
