import assert from "@std/assert";
import { Pieces } from "./pieces.ts";

Deno.test("Pieces gives parts that do not overlap, where words can stand, also large ones", () => {
  const pieces = new Pieces();
  const parts = [1, 16, 100_000, 7, 65_536, 0, 5].map((size) => pieces.bytes(size));
  parts.forEach((part, index) => {
    assert.equal(part.byteOffset % 8, 0);
    assert.ok(part.every((byte) => byte === 0));
    part.fill(index + 1);
  });
  parts.forEach((part, index) => assert.ok(part.every((byte) => byte === index + 1)));
  assert.equal(parts[0]?.buffer, parts[1]?.buffer);
});
