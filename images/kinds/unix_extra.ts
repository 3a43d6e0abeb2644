/**
 * The image of what unix sockets have that CRIU's cannot say.
 *
 * @module
 */
import { unix_extra_entrySchema } from "../gen/sockets_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What a socket has beyond `unix_sk_entry`. The magic reads `UNX1` in the file. */
export const UNIX_EXTRA = defineImageKind({
  name: "UNIX_EXTRA",
  file: "unix-extra.img",
  magic: 0x31584e55,
  schema: unix_extra_entrySchema,
  list: true,
});
