/**
 * The manifest, which CRIU does not have: the name and size of every other image. Lists of no entries
 * are as good as any other to a decoder, so without it a list that was cut short between two entries, or
 * an optional image that is missing, would silently lose state.
 *
 * @module
 */

import { manifest_entrySchema } from "../gen/manifest_pb.ts";
import { defineImageKind } from "../kind.ts";

/** One entry a file; the magic reads `LIST` in the file. */
export const MANIFEST = defineImageKind({
  name: "MANIFEST",
  file: "manifest.img",
  magic: 0x5453494c,
  schema: manifest_entrySchema,
  list: true,
});
