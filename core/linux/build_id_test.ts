import { deepEqual, equal } from "@std/assert";
import { buildIdNumbers, findBuildId, readBuildId } from "./build_id.ts";

/** An ELF file with a note of another kind, and one with a build id. */
function elf(id: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8192);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(120, 4, true); // PT_NOTE
  view.setBigUint64(128, 5000n, true);
  view.setBigUint64(152, BigInt(12 + 4 + 5 + 3 + 12 + 4 + id.length), true);
  const note = (at: number, type: number, contents: readonly number[]): number => {
    view.setUint32(at, 4, true);
    view.setUint32(at + 4, contents.length, true);
    view.setUint32(at + 8, type, true);
    bytes.set([0x47, 0x4e, 0x55, 0, ...contents], at + 12);
    return at + 16 + Math.ceil(contents.length / 4) * 4;
  };
  note(note(5000, 1, [9, 9, 9, 9, 9]), 3, id);
  return bytes;
}

const reader = (bytes: Uint8Array) => (offset: number, length: number) =>
  bytes.slice(offset, offset + length);

Deno.test("findBuildId() finds the note among others, behind the first page", () => {
  const id = [1, 2, 3, 4, 5, 6];
  deepEqual(findBuildId(reader(elf(id))), Uint8Array.from(id));
});

Deno.test("findBuildId() finds none where there is none, wherever the file is cut", () => {
  const whole = elf([1, 2, 3, 4]);
  for (let size = 0; size < 5044; size += 3) {
    equal(findBuildId(reader(whole.slice(0, size))), undefined, `${size}`);
  }
  equal(findBuildId(reader(new TextEncoder().encode("#!/bin/sh\n".repeat(100)))), undefined);
  whole.fill(0xff, 4996, 5060); // notes of impossible sizes
  equal(findBuildId(reader(whole)), undefined);
});

Deno.test("readBuildId() reads that of this program's interpreter, and none of what is no file", () => {
  equal(readBuildId("/nothing/there"), undefined);
  equal(readBuildId("/"), undefined);
  equal(readBuildId("/proc/self/exe") === undefined, readBuildId(Deno.execPath()) === undefined);
});

Deno.test("buildIdNumbers() fills up the last number", () => {
  deepEqual(buildIdNumbers(Uint8Array.of(1, 2, 3, 4, 5)), [0x04030201, 5]);
});
