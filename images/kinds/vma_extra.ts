/**
 * The image of what mappings have that CRIU cannot say.
 *
 * @module
 */
import { vma_extra_entrySchema } from "../gen/vma_extra_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What mappings have beyond `vma_entry`, by pid. The magic reads `VMX1` in the file. */
export const VMA_EXTRA = defineImageKind({
  name: "VMA_EXTRA",
  file: "vma-extra-%u.img",
  magic: 0x31584d56,
  schema: vma_extra_entrySchema,
  list: true,
});
