/**
 * The image of this plugin's own.
 *
 * @module
 */
import { fifo_extra_entrySchema } from "../../images/gen/pipes_pb.ts";
import { defineImageKind } from "../../images/kind.ts";

/** Fifos that wait for their first writer. The magic reads `FIF1`. */
export const FIFO_EXTRA = defineImageKind({
  name: "FIFO_EXTRA",
  file: "fifo-extra.img",
  magic: 0x31464946,
  schema: fifo_extra_entrySchema,
  list: true,
});
