/**
 * The images of what is in sockets; the sockets themselves are in `files.img`.
 *
 * @module
 */

import { sk_packet_entrySchema } from "../gen/sk-packet_pb.ts";
import { tcp_stream_entrySchema } from "../gen/tcp-stream_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** Packets that were received and not read. */
export const SK_QUEUES = defineImageKind({
  name: "SK_QUEUES",
  file: "sk-queues.img",
  magic: MAGICS.SK_QUEUES,
  schema: sk_packet_entrySchema,
  list: true,
  extra: { length: (packet) => packet.length, align: 1 },
});

/** A TCP connection, by its socket's `ino`; the extra is the receive queue, then the send queue. */
export const TCP_STREAM = defineImageKind({
  name: "TCP_STREAM",
  file: "tcp-stream-%x.img",
  magic: MAGICS.TCP_STREAM,
  schema: tcp_stream_entrySchema,
  extra: { length: (stream) => stream.inqLen + stream.outqLen, align: 1 },
});
