/**
 * What a dump or a restore cost: no part of the state.
 *
 * @module
 */

import { stats_entrySchema } from "../gen/stats_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** By `"dump"` or `"restore"`. The name has no ending. */
export const STATS = defineImageKind({
  name: "STATS",
  file: "stats-%s",
  magic: MAGICS.STATS,
  prefix: "service",
  schema: stats_entrySchema,
});
