/**
 * The image of directories that are watched by F_NOTIFY.
 *
 * @module
 */
import { dnotify_entrySchema } from "../gen/watches_pb.ts";
import { defineImageKind } from "../kind.ts";

/** Watches of directories. The magic reads `DNO1` in the file. */
export const DNOTIFY = defineImageKind({
  name: "DNOTIFY",
  file: "dnotify.img",
  magic: 0x314f4e44,
  schema: dnotify_entrySchema,
  list: true,
});
