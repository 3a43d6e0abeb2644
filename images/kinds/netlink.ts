/**
 * The image of netlink sockets beside `files.img`.
 *
 * @module
 */
import { netlink_extra_entrySchema } from "../gen/netlink_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What a socket has beyond `netlink_sk_entry`. The magic reads `NLX1` in the file. */
export const NETLINK_EXTRA = defineImageKind({
  name: "NETLINK_EXTRA",
  file: "netlink-extra.img",
  magic: 0x31584c4e,
  schema: netlink_extra_entrySchema,
  list: true,
});
