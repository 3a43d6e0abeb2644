/**
 * CRIU's own account of a dump, `stats-dump`: how long the tree stood still.
 *
 * @module
 */

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** IMG_SERVICE_MAGIC and STATS_MAGIC (criu/include/magic.h), and the size of the message: three u32. */
const SERVICE_MAGIC = 0x55105940, STATS_MAGIC = 0x57093306, HEAD = 12;
/** Fields of `stats_entry` and `dump_stats_entry` (images/stats.proto): microseconds. */
const DUMP = 1, FROZEN_TIME = 2;

/**
 * Reads how long the tree stood still.
 *
 * @param bytes the file
 * @returns milliseconds
 * @throws {RangeError} where it does not tell
 */
export function frozenMsOfStats(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isStats = bytes.length >= HEAD && view.getUint32(0, true) === SERVICE_MAGIC &&
    view.getUint32(4, true) === STATS_MAGIC;
  if (!isStats) throw new RangeError("no statistics of CRIU");
  const message = bytes.subarray(HEAD, HEAD + view.getUint32(8, true));
  const dump = field(message, DUMP, WireType.LengthDelimited, (reader) => reader.bytes());
  const frozen = field(dump, FROZEN_TIME, WireType.Varint, (reader) => reader.uint32());
  return frozen / 1e3;
}

function field<T>(
  message: Uint8Array,
  wanted: number,
  type: WireType,
  read: (reader: BinaryReader) => T,
): T {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === wanted && wireType === type) return read(reader);
    reader.skip(wireType, number);
  }
  throw new RangeError(`the statistics have no field ${wanted}`);
}
