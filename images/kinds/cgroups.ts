/**
 * The image of control groups.
 *
 * @module
 */
import { cgroup_entrySchema } from "../gen/cgroup_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** The control groups that a tree was in, with their settings. */
export const CGROUP = defineImageKind({
  name: "CGROUP",
  file: "cgroup.img",
  magic: MAGICS.CGROUP,
  schema: cgroup_entrySchema,
});
