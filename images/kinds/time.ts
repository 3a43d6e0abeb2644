/**
 * The images of clocks, points in time and waits, which CRIU does not have. What ignores them restores a tree
 * that waits longer than it should, and loses nothing else.
 *
 * @module
 */
import { clocks_entrySchema, deadline_entrySchema, wait_entrySchema } from "../gen/time_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What the clocks said. The magic reads `CLK1` in the file. */
export const CLOCKS = defineImageKind({
  name: "CLOCKS",
  file: "clocks.img",
  magic: 0x314b4c43,
  schema: clocks_entrySchema,
});

/** One entry a timerfd that was set to a point in time. The magic reads `DLN1` in the file. */
export const DEADLINES = defineImageKind({
  name: "DEADLINES",
  file: "deadlines.img",
  magic: 0x314e4c44,
  schema: deadline_entrySchema,
  list: true,
});

/** One entry a thread that waits for a time. The magic reads `WAI1` in the file. */
export const WAITS = defineImageKind({
  name: "WAITS",
  file: "waits.img",
  magic: 0x31494157,
  schema: wait_entrySchema,
  list: true,
});
