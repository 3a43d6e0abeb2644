/**
 * The image of seccomp filters.
 *
 * @module
 */

import { seccomp_entrySchema } from "../gen/seccomp_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** All filters of the tree; a thread's core names its last one by position, each filter the one before it. */
export const SECCOMP = defineImageKind({
  name: "SECCOMP",
  file: "seccomp.img",
  magic: MAGICS.SECCOMP,
  schema: seccomp_entrySchema,
});
