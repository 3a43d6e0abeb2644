/**
 * How long the phases of a checkpoint took, which CRIU's images do not say. It is there to be looked at.
 *
 * @module
 */

import { phase_entrySchema } from "../gen/phases_pb.ts";
import { defineImageKind } from "../kind.ts";

/** One entry a phase, in their order. The magic reads `PHS1` in the file. */
export const PHASES = defineImageKind({
  name: "PHASES",
  file: "phases.img",
  magic: 0x31534850,
  schema: phase_entrySchema,
  list: true,
});
