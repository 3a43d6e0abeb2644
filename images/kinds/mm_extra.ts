/**
 * The image of what address spaces have that CRIU's cannot say.
 *
 * @module
 */
import { mm_extra_entrySchema } from "../gen/mm_extra_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What an address space has beyond `mm_entry`, by pid. The magic reads `MMX1` in the file. */
export const MM_EXTRA = defineImageKind({
  name: "MM_EXTRA",
  file: "mm-extra-%u.img",
  magic: 0x31584d4d,
  schema: mm_extra_entrySchema,
});
