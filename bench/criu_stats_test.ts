import assert from "@std/assert";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { frozenMsOfStats } from "./criu_stats.ts";

/** A file as CRIU writes it. */
function statsFile(message: Uint8Array, magic = 0x57093306): Uint8Array {
  const bytes = new Uint8Array(12 + message.length);
  const view = new DataView(bytes.buffer);
  [0x55105940, magic, message.length].forEach((word, at) => view.setUint32(at * 4, word, true));
  bytes.set(message, 12);
  return bytes;
}

const dump = new BinaryWriter().tag(1, WireType.Varint).uint32(500).tag(2, WireType.Varint)
  .uint32(4750).finish();

Deno.test("frozenMsOfStats() reads the time that a tree stood still", () => {
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(dump).finish();
  assert.equal(frozenMsOfStats(statsFile(entry)), 4.75);
});

Deno.test("frozenMsOfStats() refuses what does not tell it", () => {
  const restore = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(dump).finish();
  assert.throws(() => frozenMsOfStats(statsFile(restore)), /no field 1/);
  assert.throws(() => frozenMsOfStats(statsFile(dump, 1)), /no statistics/);
  assert.throws(() => frozenMsOfStats(new Uint8Array(3)), /no statistics/);
});
