/**
 * Test support: sockets of images.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { AF_INET, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { ImageBytes, ServedImage } from "../../core/restore/image_bytes.ts";
import {
  inet_sk_entrySchema,
  type tcp_stream_entry,
  tcp_stream_entrySchema,
} from "../../images/gen/inet_pb.ts";
import { SOCK } from "./protocol.ts";
import type { SavedSocket, SavedStream } from "./socket.ts";

/** A connection of IPv4. @param init what its stream has */
export function sampleConnection(
  state: number,
  init: Partial<tcp_stream_entry> = {},
): { readonly socket: SavedSocket; readonly stream: SavedStream } {
  const entry = Object.assign(create(tcp_stream_entrySchema, {}), init);
  const image = new ServedImage("tcp-stream-7.img");
  const stream = {
    entry,
    received: new ImageBytes(image, 0, entry.inqLen),
    sent: new ImageBytes(image, entry.inqLen, entry.outqLen),
  };
  const end = (last: number, port: number) => ({
    family: AF_INET,
    port,
    bytes: Uint8Array.of(127, 0, 0, last),
    scope: 0,
  });
  const socket: SavedSocket = {
    entry: create(inet_sk_entrySchema, { ino: 7, family: AF_INET, type: SOCK.STREAM, state }),
    kind: { family: AF_INET, type: SOCK.STREAM, protocol: IPPROTO.TCP },
    own: end(1, 80),
    peer: end(2, 4711),
    isBound: true,
    isConnected: true,
    isForeign: false,
    isWaiting: false,
    sent: new Uint8Array(0),
    orphaned: [],
    owner: { uid: 0, gid: 0 },
    options: [],
    more: [],
    queue: [],
    urgent: undefined,
    urgentAt: undefined,
    ended: undefined,
    corked: undefined,
    stream,
  };
  return { socket, stream };
}
