/**
 * The images of sockets of networks beside `files.img`.
 *
 * @module
 */
import {
  inet_extra_entrySchema,
  inet_lock_entrySchema,
  type tcp_stream_entry,
  tcp_stream_entrySchema,
} from "../gen/inet_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** A TCP connection, by the socket's inode; the extra is what was received, and behind it what was sent. */
export const TCP_STREAM = defineImageKind({
  name: "TCP_STREAM",
  file: "tcp-stream-%x.img",
  magic: MAGICS.TCP_STREAM,
  schema: tcp_stream_entrySchema,
  extra: {
    length: ({ inqLen, outqLen }: Pick<tcp_stream_entry, "inqLen" | "outqLen">) => inqLen + outqLen,
  },
});

/** What a socket has beyond `inet_sk_entry`. The magic reads `INX1` in the file. */
export const INET_EXTRA = defineImageKind({
  name: "INET_EXTRA",
  file: "inet-extra.img",
  magic: 0x31584e49,
  schema: inet_extra_entrySchema,
  list: true,
});

/** What holds back packets of connections. The magic reads `INL1` in the file. */
export const INET_LOCK = defineImageKind({
  name: "INET_LOCK",
  file: "inet-lock.img",
  magic: 0x314c4e49,
  schema: inet_lock_entrySchema,
});
