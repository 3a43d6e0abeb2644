/**
 * The image of open files that are provided at restore, which CRIU does not have.
 *
 * @module
 */

import { external_entrySchema } from "../gen/external_pb.ts";
import { defineImageKind } from "../kind.ts";

/** One entry for each open file description that is held outside of the tree. The magic reads `EXT1`. */
export const EXTERNAL = defineImageKind({
  name: "EXTERNAL",
  file: "external.img",
  magic: 0x31545845,
  schema: external_entrySchema,
  list: true,
});
