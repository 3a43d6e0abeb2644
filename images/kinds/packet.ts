/**
 * The image of packet sockets beside `files.img`.
 *
 * @module
 */
import { packet_extra_entrySchema } from "../gen/packet_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What a socket has beyond `packet_sock_entry`. The magic reads `PKX1` in the file. */
export const PACKET_EXTRA = defineImageKind({
  name: "PACKET_EXTRA",
  file: "packet-extra.img",
  magic: 0x31584b50,
  schema: packet_extra_entrySchema,
  list: true,
});
