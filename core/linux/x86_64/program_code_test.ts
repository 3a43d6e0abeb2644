import assert from "@std/assert";
import { PROGRAM_CODE, PROGRAM_SYSCALL } from "./program_code.ts";

/** The targets of all short jumps, found by stepping through the known instruction lengths. */
Deno.test("PROGRAM_CODE jumps only to the starts of instructions", () => {
  const lengths: Record<number, number> = {};
  const starts = new Set<number>();
  const jumps: [from: number, to: number][] = [];
  for (let at = 0; at < PROGRAM_CODE.length;) {
    starts.add(at);
    const length = lengthAt(PROGRAM_CODE, at);
    lengths[at] = length;
    const opcode = PROGRAM_CODE[at] as number;
    if (opcode === 0xeb || (opcode >= 0x70 && opcode < 0x80)) {
      const distance = ((PROGRAM_CODE[at + 1] as number) << 24) >> 24;
      jumps.push([at, at + 2 + distance]);
    }
    at += length;
  }
  assert.equal(jumps.length, 7);
  for (const [from, to] of jumps) assert.ok(starts.has(to), `jump at ${from} to ${to}`);
  // The two loops go back, and everything that ends goes forward.
  assert.equal(jumps.filter(([from, to]) => to < from).length, 2);
});

Deno.test("PROGRAM_CODE has exactly two system calls and ends with ud2", () => {
  let count = 0;
  for (let at = 0; at < PROGRAM_CODE.length; at += lengthAt(PROGRAM_CODE, at)) {
    if (PROGRAM_CODE[at] === 0x0f && PROGRAM_CODE[at + 1] === 0x05) count++;
  }
  assert.equal(count, 2);
  assert.deepEqual([...PROGRAM_CODE.subarray(PROGRAM_SYSCALL, PROGRAM_SYSCALL + 2)], [0x0f, 0x05]);
  assert.deepEqual([...PROGRAM_CODE.subarray(-2)], [0x0f, 0x0b]);
});

/** The length of an instruction among those that the program is made of. */
function lengthAt(code: Uint8Array, at: number): number {
  const [a, b, c] = code.subarray(at, at + 3) as unknown as [number, number, number];
  if (a === 0xeb || (a >= 0x70 && a < 0x80)) return 2;
  if (a === 0x0f) return 2;
  if (a === 0xb8) return 5;
  if (a === 0x89 && b === 0xc0) return 2;
  if (a === 0x8b) return 2;
  if (a === 0x83 || a === 0x80) return a === 0x80 ? 4 : 3;
  if (a === 0xf6) return 4;
  if (a === 0x48 && b === 0x3d) return 6;
  // REX.W with a ModRM byte: an address in r12 takes a SIB byte, a displacement one more.
  if ((a === 0x48 || a === 0x49 || a === 0x4c || a === 0x4d) && [0x8b, 0x89].includes(b)) {
    const sib = (c & 7) === 4 ? 1 : 0;
    return 3 + sib + (c >> 6 === 1 ? 1 : 0);
  }
  if (a === 0x48 && (b === 0x85 || b === 0x83)) return b === 0x83 ? 4 : 3;
  throw new Error(`unknown instruction ${a.toString(16)} ${b.toString(16)} at ${at}`);
}
