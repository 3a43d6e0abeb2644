import assert from "@std/assert";
import {
  PROGRAM_CHECKED_CALL,
  PROGRAM_CODE,
  PROGRAM_SYSCALL,
  PROGRAM_WAIT,
} from "./program_code.ts";

const JMP_FAR = 0xe9;

Deno.test("PROGRAM_CODE jumps only to the starts of instructions", () => {
  const starts = new Set<number>();
  const jumps: [from: number, to: number][] = [];
  const view = new DataView(PROGRAM_CODE.buffer);
  for (let at = 0; at < PROGRAM_CODE.length;) {
    starts.add(at);
    const opcode = PROGRAM_CODE[at] as number;
    if (opcode === 0xeb || (opcode >= 0x70 && opcode < 0x80)) {
      jumps.push([at, at + 2 + view.getInt8(at + 1)]);
    } else if (opcode === JMP_FAR) jumps.push([at, at + 5 + view.getInt32(at + 1, true)]);
    at += lengthAt(PROGRAM_CODE, at);
  }
  assert.equal(jumps.length, 20);
  for (const [from, to] of jumps) assert.ok(starts.has(to), `jump at ${from} to ${to}`);
  // Five ways lead to the next entry, one to the sequel, one out of an operation that is none, and one stays where it is for ever.
  assert.deepEqual(jumps.filter(([, to]) => to === 0).length, 5);
  assert.deepEqual(jumps.filter(([from, to]) => to === from), [[PROGRAM_WAIT, PROGRAM_WAIT]]);
});

Deno.test("PROGRAM_CODE looks whether the tracer lives before each of its two system calls, and ends with neither", () => {
  const calls: number[] = [];
  let last = 0;
  for (let at = 0; at < PROGRAM_CODE.length; at += lengthAt(PROGRAM_CODE, at)) {
    if (PROGRAM_CODE[at] === 0x0f && PROGRAM_CODE[at + 1] === 0x05) calls.push(at);
    last = at;
  }
  assert.equal(calls.length, 2);
  assert.equal(calls[0], PROGRAM_SYSCALL);
  for (const at of calls) {
    // test byte [r13+3], 0x40; jnz wait
    const before = [...PROGRAM_CODE.subarray(at - 7, at - 1)];
    assert.deepEqual(before, [0x41, 0xf6, 0x45, 0x03, 0x40, 0x75]);
  }
  // mov rbx, [r12+48]; test rbx, rbx; jnz loop
  assert.equal(
    calls[1],
    PROGRAM_WAIT - 12,
    "behind the last one it waits, unless there is a sequel",
  );
  assert.equal(PROGRAM_CODE[last], JMP_FAR);
});

Deno.test("PROGRAM_CODE looks whether the tracer lives before it goes to a call elsewhere", () => {
  const code = [...PROGRAM_CODE.subarray(PROGRAM_CHECKED_CALL, PROGRAM_CHECKED_CALL + 10)];
  // test byte [r13+3], 0x40; jnz wait; jmp r12
  const back = PROGRAM_WAIT - PROGRAM_CHECKED_CALL - 7;
  assert.deepEqual(code, [0x41, 0xf6, 0x45, 0x03, 0x40, 0x75, back & 0xff, 0x41, 0xff, 0xe4]);
});

/** The length of an instruction among those that the program is made of. */
function lengthAt(code: Uint8Array, at: number): number {
  const [a, b, c] = code.subarray(at, at + 3) as unknown as [number, number, number];
  if (a === 0xeb || (a >= 0x70 && a < 0x80)) return 2;
  if (a === 0x41 && b === 0xff) return 3;
  if (a === JMP_FAR || a === 0xb8 || a === 0x41) return 5;
  if (a === 0x0f) return 2;
  if (a === 0x89 && b === 0xc0) return 2;
  if (a === 0x8b) return 2;
  if (a === 0x83 || a === 0x80) return a === 0x80 ? 4 : 3;
  if (a === 0xf6) return 4;
  if (a === 0x48 && b === 0x3d) return 6;
  // REX.W with a ModRM byte: an address in r12 takes a SIB byte, a displacement one more.
  if ((a === 0x48 || a === 0x49 || a === 0x4c || a === 0x4d) && [0x8b, 0x89, 0x39].includes(b)) {
    const sib = (c & 7) === 4 ? 1 : 0;
    return 3 + sib + (c >> 6 === 1 ? 1 : 0);
  }
  if (a === 0x48 && (b === 0x85 || b === 0x83)) return b === 0x83 ? 4 : 3;
  throw new Error(`unknown instruction ${a.toString(16)} ${b.toString(16)} at ${at}`);
}
