/**
 * Test support: sockets of images.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { SOCK, STATE } from "../../core/linux/net/unix_diag.ts";
import {
  unix_extra_entrySchema,
  type unix_sk_entry,
  unix_sk_entrySchema,
} from "../../images/gen/sockets_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import type { Message, SavedSocket } from "./group.ts";

/** A connected stream with id 100 + `ino`, with what is given changed. */
export function sampleSocket(
  ino: number,
  entry: Partial<Omit<unix_sk_entry, "$typeName">> = {},
  extra?: Omit<MessageInitShape<typeof unix_extra_entrySchema>, "id" | "$typeName">,
  queue: readonly Message[] = [],
): SavedSocket {
  const id = 100 + ino;
  const opts = {
    soSndbuf: 212992,
    soRcvbuf: 212992,
    soSndTmoSec: 0n,
    soSndTmoUsec: 0n,
    soRcvTmoSec: 0n,
    soRcvTmoUsec: 0n,
  };
  return {
    entry: create(unix_sk_entrySchema, {
      id,
      ino,
      type: SOCK.STREAM,
      state: STATE.ESTABLISHED,
      flags: 2,
      uflags: 0,
      backlog: 0,
      peer: 0,
      fown: NO_OWNER,
      opts,
      name: new Uint8Array(0),
      ...entry,
    }),
    extra: extra === undefined ? undefined : create(unix_extra_entrySchema, { id, ...extra }),
    queue,
  };
}
