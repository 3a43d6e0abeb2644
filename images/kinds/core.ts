/**
 * The images that every checkpoint has: the inventory, the tree, the threads.
 *
 * @module
 */

import { core_entrySchema } from "../gen/thread_pb.ts";
import { pstree_entrySchema, task_kobj_ids_entrySchema } from "../gen/tree_pb.ts";
import { inventory_entrySchema } from "../gen/inventory_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** `img_version` of the inventory for images whose files begin with the common magic (CRTOOLS_IMAGES_V1_1). */
export const IMAGES_VERSION = 2;

/**
 * `img_version` where the images hold state that would be lost without one of the plugins in `plugins_entry`. CRIU
 * reads that list from 4.1 on; an older one would restore a program without it and say nothing. A version that
 * it does not know every CRIU refuses. The format is that of {@link IMAGES_VERSION}; CRIU's own versions count up
 * from 1.
 */
export const IMAGES_VERSION_PLUGINS = 1002;

/** What the directory holds; written last. */
export const INVENTORY = defineImageKind({
  name: "INVENTORY",
  file: "inventory.img",
  magic: MAGICS.INVENTORY,
  prefix: "none",
  schema: inventory_entrySchema,
});

/** The processes, parents before their children. */
export const PSTREE = defineImageKind({
  name: "PSTREE",
  file: "pstree.img",
  magic: MAGICS.PSTREE,
  schema: pstree_entrySchema,
  list: true,
});

/** One thread, by its tid. */
export const CORE = defineImageKind({
  name: "CORE",
  file: "core-%u.img",
  magic: MAGICS.CORE,
  schema: core_entrySchema,
});

/** Which kernel objects a process has, by its pid: equal ids are shared objects. */
export const IDS = defineImageKind({
  name: "IDS",
  file: "ids-%u.img",
  magic: MAGICS.IDS,
  schema: task_kobj_ids_entrySchema,
});
