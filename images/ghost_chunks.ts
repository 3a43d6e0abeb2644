/**
 * The contents of a deleted file in its image: all bytes to the end of the file, or, where the message says
 * `chunks`, frames of `ghost_chunk_entry` each followed by its bytes (holes are left out).
 *
 * @module
 */

import { create, fromBinary } from "@bufbuild/protobuf";
import type { ByteSource } from "./byte_source.ts";
import { concat, encodeMessage } from "./codec.ts";
import { ghost_chunk_entrySchema, type ghost_file_entry } from "./gen/ghost_pb.ts";
import { missingRequired } from "./required.ts";

/** A `ghost_chunk_entry` has two numbers, and room for what later versions may add. */
const MAX_CHUNK_HEAD = 4096;

/** A stretch of a deleted file that is no hole. */
export interface GhostChunk {
  /** Where it begins, in bytes. */
  readonly offset: bigint;
  /** Its bytes. */
  readonly data: Uint8Array;
}

/** Makes what stands before the bytes of a chunk. */
export function encodeGhostChunkHead(offset: bigint, size: bigint): Uint8Array {
  const head = create(ghost_chunk_entrySchema, { len: size, off: offset });
  return encodeMessage("GHOST_FILE", ghost_chunk_entrySchema, head);
}

/** Makes the extra of a `ghost_file_entry` with `chunks` set. */
export function encodeGhostChunks(chunks: readonly GhostChunk[]): Uint8Array {
  return concat(
    chunks.flatMap(({ offset, data }) => [encodeGhostChunkHead(offset, BigInt(data.length)), data]),
  );
}

/** Where a stretch of a deleted file lies in what follows its message. */
export interface LocatedChunk {
  /** Where it begins in the deleted file, in bytes. */
  readonly offset: bigint;
  /** Where its bytes begin in the extra. */
  readonly at: number;
  /** How many there are. */
  readonly size: number;
}

/**
 * Finds the chunks in the extra of a `ghost_file_entry` with `chunks` set.
 *
 * @returns The chunks, or undefined where the bytes are not whole chunks.
 */
export function locateGhostChunks(extra: ByteSource): LocatedChunk[] | undefined {
  const chunks: LocatedChunk[] = [];
  for (let at = 0; at < extra.size;) {
    if (extra.size - at < 4) return undefined;
    const head = extra.read(at, 4);
    const size = (head[0]! | head[1]! << 8 | head[2]! << 16 | head[3]! << 24) >>> 0;
    const start = at + 4 + size;
    if (size > MAX_CHUNK_HEAD || start > extra.size) return undefined;
    try {
      const chunk = fromBinary(ghost_chunk_entrySchema, extra.read(at + 4, size));
      if (missingRequired(ghost_chunk_entrySchema, chunk) !== undefined) return undefined;
      if (chunk.len > BigInt(extra.size - start)) return undefined;
      at = start + Number(chunk.len);
      chunks.push({ offset: chunk.off, at: start, size: Number(chunk.len) });
    } catch {
      return undefined; // the bytes are no message
    }
  }
  return chunks;
}

/** How many bytes follow a `ghost_file_entry`: all, provided that they have the form. */
export function ghostLength(ghost: ghost_file_entry, rest: ByteSource): number | undefined {
  return ghost.chunks && locateGhostChunks(rest) === undefined ? undefined : rest.size;
}
