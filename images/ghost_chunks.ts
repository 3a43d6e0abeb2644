/**
 * The contents of a deleted file in its image: all bytes to the end of the file, or, where the message says
 * `chunks`, frames of `ghost_chunk_entry` each followed by its bytes (holes are left out).
 *
 * @module
 */

import { create, fromBinary } from "@bufbuild/protobuf";
import { concat, encodeMessage } from "./codec.ts";
import { ghost_chunk_entrySchema, type ghost_file_entry } from "./gen/ghost_pb.ts";
import { missingRequired } from "./required.ts";

/** A stretch of a deleted file that is no hole. */
export interface GhostChunk {
  /** Where it begins, in bytes. */
  readonly offset: bigint;
  /** Its bytes. */
  readonly data: Uint8Array;
}

/** Makes the extra of a `ghost_file_entry` with `chunks` set. */
export function encodeGhostChunks(chunks: readonly GhostChunk[]): Uint8Array {
  return concat(chunks.flatMap(({ offset, data }) => [
    encodeMessage(
      "GHOST_FILE",
      ghost_chunk_entrySchema,
      create(ghost_chunk_entrySchema, { len: BigInt(data.length), off: offset }),
    ),
    data,
  ]));
}

/**
 * Reads the extra of a `ghost_file_entry` with `chunks` set.
 *
 * @returns The chunks, or undefined where the bytes are not whole chunks.
 */
export function decodeGhostChunks(extra: Uint8Array): GhostChunk[] | undefined {
  const view = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
  const chunks: GhostChunk[] = [];
  for (let at = 0; at < extra.length;) {
    if (extra.length - at < 4) return undefined;
    const size = view.getUint32(at, true);
    const start = at + 4 + size;
    if (start > extra.length) return undefined;
    try {
      const chunk = fromBinary(ghost_chunk_entrySchema, extra.subarray(at + 4, start));
      if (missingRequired(ghost_chunk_entrySchema, chunk) !== undefined) return undefined;
      if (chunk.len > BigInt(extra.length - start)) return undefined;
      at = start + Number(chunk.len);
      chunks.push({ offset: chunk.off, data: extra.subarray(start, at) });
    } catch {
      return undefined; // the bytes are no message
    }
  }
  return chunks;
}

/** How many bytes follow a `ghost_file_entry`: all, provided that they have the form. */
export function ghostLength(ghost: ghost_file_entry, rest: Uint8Array): number | undefined {
  return ghost.chunks && decodeGhostChunks(rest) === undefined ? undefined : rest.length;
}
