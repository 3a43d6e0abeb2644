/**
 * Which checkpoint the parent of an image directory must be (`images/layers.ts`).
 *
 * @module
 */

import { lineage_entrySchema } from "../gen/lineage_pb.ts";
import { defineImageKind } from "../kind.ts";

/** There where images have a parent that was made by a checkpoint of Stasis; the magic reads `LINE` in the file. */
export const LINEAGE = defineImageKind({
  name: "LINEAGE",
  file: "lineage.img",
  magic: 0x454e494c,
  schema: lineage_entrySchema,
});
