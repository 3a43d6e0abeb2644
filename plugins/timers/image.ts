/**
 * The image of this plugin's own.
 *
 * @module
 */
import { timers_extra_entrySchema } from "../../images/gen/timers_pb.ts";
import { defineImageKind } from "../../images/kind.ts";

/** Processes whose timers have something that CRIU has no image for. The magic reads `TMR1` in the file. */
export const TIMERS_EXTRA = defineImageKind({
  name: "TIMERS_EXTRA",
  file: "timers.img",
  magic: 0x31524d54,
  schema: timers_extra_entrySchema,
  list: true,
});
