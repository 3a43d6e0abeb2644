/**
 * The image of this plugin's own.
 *
 * @module
 */
import { task_extra_entrySchema } from "../../images/gen/task_pb.ts";
import { defineImageKind } from "../../images/kind.ts";

/** Threads with attributes that are not the default and that CRIU has no image for. The magic reads `TSK1`. */
export const TASK_EXTRA = defineImageKind({
  name: "TASK_EXTRA",
  file: "task.img",
  magic: 0x314b5354,
  schema: task_extra_entrySchema,
  list: true,
});
