/**
 * The image of Syscall User Dispatch, which CRIU does not have.
 *
 * @module
 */

import { sud_entrySchema } from "../gen/sud_pb.ts";
import { defineImageKind } from "../kind.ts";

/** One entry a thread whose dispatch is on. The magic reads `SUD1` in the file. */
export const SUD = defineImageKind({
  name: "SUD",
  file: "sud.img",
  magic: 0x31445553,
  schema: sud_entrySchema,
  list: true,
});
