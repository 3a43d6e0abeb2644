import assert from "@std/assert";
import { type CodeRange, outermostInstructions } from "./instructions.ts";

/** Memory as a list of ranges: where each begins, and its bytes; undefined where it cannot be read. */
function memory(...parts: [start: bigint, bytes: number[] | undefined][]) {
  const ranges = parts.map(([start, bytes]) => ({
    start,
    end: start + BigInt(bytes?.length ?? 1),
  }));
  const read = (range: CodeRange) => {
    const bytes = parts[ranges.indexOf(range)]?.[1];
    return bytes && new Uint8Array(bytes);
  };
  return outermostInstructions(ranges, read);
}

Deno.test("outermostInstructions() gives the lowest and the highest of all ranges", () => {
  const found = memory(
    [0x1000n, [0x90, 0x0f, 0x0f, 0x05, 0x0f, 0x05]],
    [0x2000n, [0x0f, 0x05]],
    [0x3000n, [0x0f, 0x05, 0x0f, 0x05, 0x0f]],
  );
  assert.deepEqual(found, [0x1002n, 0x3002n]);
});

Deno.test("outermostInstructions() passes by what has none and what cannot be read", () => {
  const found = memory([0x1000n, undefined], [0x2000n, [0x0f, 0x90]], [0x3000n, [0x0f, 0x05]], [
    0x4000n,
    [0x0f, 0x0f],
  ]);
  assert.deepEqual(found, [0x3000n]);
  assert.deepEqual(memory([0x1000n, [0x05, 0x0f]]), []);
  assert.deepEqual(memory(), []);
});
