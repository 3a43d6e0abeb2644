import { deepEqual, equal, throws } from "@std/assert";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { decodeMessage } from "./flat.ts";
import { mm_entrySchema, type vma_entrySchema } from "./gen/memory_pb.ts";

const BOUNDS = {
  mmStartCode: 1n,
  mmEndCode: 2n,
  mmStartData: 3n,
  mmEndData: 4n,
  mmStartStack: 5n,
  mmStartBrk: 6n,
  mmBrk: 7n,
  mmArgStart: 8n,
  mmArgEnd: 9n,
  mmEnvStart: 10n,
  mmEnvEnd: 11n,
  exeFileId: 12,
};

function mapping(index: number): MessageInitShape<typeof vma_entrySchema> {
  const start = BigInt(index) << 12n;
  return {
    start,
    end: start + 4096n,
    pgoff: index % 3 === 0 ? 0xffff_ffff_ffff_f000n : BigInt(index),
    shmid: index % 5 === 0 ? (1n << 63n) + 1n : 0n,
    prot: 3,
    flags: index % 7 === 0 ? 0xffff_ffff : 0x22,
    status: 0x201,
    fd: [-1n, 0n, 1n, -(1n << 63n), (1n << 63n) - 1n, 1n << 52n][index % 6],
    madv: index % 4 === 0 ? 0x1000n : undefined,
  };
}

function image(count: number): Uint8Array {
  const vmas = Array.from({ length: count }, (_, index) => mapping(index));
  const mmSavedAuxv = [33n, 0x7fff_0000_0000n, 0n, 0n];
  return toBinary(mm_entrySchema, create(mm_entrySchema, { ...BOUNDS, mmSavedAuxv, vmas }));
}

Deno.test("decodeMessage() gives what the general decoder gives, with a long list and without", () => {
  for (const count of [0, 1, 1000]) {
    const bytes = image(count);
    const { message, complete } = decodeMessage(mm_entrySchema, bytes);
    deepEqual(message, fromBinary(mm_entrySchema, bytes));
    equal(complete, count < 1000 ? undefined : "vmas");
    deepEqual(toBinary(mm_entrySchema, message), bytes);
  }
});

/** A field of length `bytes` behind others. */
function withVma(bytes: Uint8Array, entry: readonly number[]): Uint8Array {
  const number = mm_entrySchema.field.vmas.number;
  return Uint8Array.of(...bytes, number << 3 | 2, entry.length, ...entry);
}

Deno.test("decodeMessage() leaves what is not as expected to the general decoder", () => {
  const bytes = image(500);
  // A field that is not known, one of another kind, a number that is too large, a required field that is missing.
  for (
    const entry of [
      [0xf8, 0x01, 1],
      [0xfd, 0x01, 1, 2, 3, 4],
      [0x28, 0xff, 0xff, 0xff, 0xff, 0x7f],
      [],
    ]
  ) {
    const odd = withVma(bytes, entry);
    const { message, complete } = decodeMessage(mm_entrySchema, odd);
    deepEqual(message, fromBinary(mm_entrySchema, odd));
    equal(complete, undefined);
  }
});

Deno.test("decodeMessage() refuses what is cut short as the general decoder does", () => {
  const bytes = image(500);
  for (const less of [1, 2, 10, 30]) {
    const cut = bytes.subarray(0, bytes.length - less);
    throws(() => fromBinary(mm_entrySchema, cut));
    throws(() => decodeMessage(mm_entrySchema, cut));
  }
});

/** What a decoder makes of bytes; undefined if it refuses them. */
function outcome<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

Deno.test("decodeMessage() gives or refuses hostile bytes as the general decoder does", () => {
  const bytes = image(500);
  const vmas = mm_entrySchema.field.vmas.number;
  const whole = [
    ...toBinary(mm_entrySchema, create(mm_entrySchema, { ...BOUNDS, vmas: [mapping(1)] })),
  ];
  const vma = whole.slice(whole.lastIndexOf(vmas << 3 | 2) + 2);
  const more = Array<number>(9).fill(0x80);
  const long = (count: number, last: number) => [...more.slice(0, count - 1), last];
  const start = 1 << 3, list = vmas << 3;
  const cases: Record<string, readonly number[]> = {
    "a tag of 33 bits": [start | 0x80, 0x80, 0x80, 0x80, 0x10, 1],
    "a tag of six bytes": [start | 0x80, ...long(5, 0), 1],
    "a tag of ten bytes": [start | 0x80, ...long(9, 0), 1],
    "a list's tag of six bytes": [list | 0x82, ...long(5, 0), vma.length, ...vma],
    "a field's tag of 33 bits": [
      list | 2,
      vma.length + 6,
      ...vma,
      start | 0x80,
      ...long(4, 0x10),
      1,
    ],
    "a field's tag of six bytes": [
      list | 2,
      vma.length + 7,
      ...vma,
      start | 0x80,
      ...long(5, 0),
      1,
    ],
    "a number of ten bytes": [list | 2, vma.length + 11, ...vma, start, ...long(10, 1)],
    "a number of more than 64 bits": [list | 2, vma.length + 11, ...vma, start, ...long(10, 0x7f)],
    "a number of eleven bytes": [list | 2, vma.length + 12, ...vma, start, ...more, 0x80, 0],
    "an own number of eleven bytes": [start, ...more, 0x80, 0],
    "a length of ten bytes": [list | 2, vma.length | 0x80, ...long(9, 0), ...vma],
    "a length of eleven bytes": [list | 2, vma.length | 0x80, ...more, 0, ...vma],
    "a list's number of another kind": [list, 2, start, 1],
    "a number of the kind of bytes": [start | 2, 2, start, 1],
    "field 0": [0, 1],
    "a group": [list | 3, list | 4],
  };
  for (const [what, odd] of Object.entries(cases)) {
    const hostile = Uint8Array.of(...bytes, ...odd);
    deepEqual(
      outcome(() => decodeMessage(mm_entrySchema, hostile).message),
      outcome(() => fromBinary(mm_entrySchema, hostile)),
      what,
    );
  }
});

Deno.test("decodeMessage() gives or refuses changed bytes as the general decoder does", () => {
  const bytes = image(150);
  let fast = 0, seed = 1;
  const below = (limit: number) => (seed = seed * 48271 % 0x7fff_ffff) % limit;
  const odd = [0, 1, 0x7f, 0x80, 0xff];
  for (let count = 0; count < 500; count++) {
    const changed = bytes.slice();
    for (let change = below(3); change >= 0; change--) {
      const at = below(2) === 0 ? below(80) : below(bytes.length);
      changed[at] = below(2) === 0 ? below(256) : odd[below(odd.length)]!;
    }
    const found = outcome(() => decodeMessage(mm_entrySchema, changed));
    if (found?.complete !== undefined) fast++;
    deepEqual(
      found?.message,
      outcome(() => fromBinary(mm_entrySchema, changed)),
      `change ${count}`,
    );
  }
  equal(fast > 50, true, `only ${fast} were decoded the fast way`);
});
