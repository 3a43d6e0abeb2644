import { deepEqual, equal, throws } from "@std/assert";
import { cpuUsage } from "node:process";
import { create } from "@bufbuild/protobuf";
import type { StasisError } from "../base/errors.ts";
import { concat, decodeImage, encodeImage } from "./codec.ts";
import { pagemap_entrySchema, pagemap_headSchema } from "./gen/pages_pb.ts";
import { PAGEMAP } from "./kinds/memory.ts";
import {
  decodePagemap,
  encodePagemap,
  type Pagemap,
  PE_LAZY,
  PE_PARENT,
  PE_PRESENT,
} from "./pagemap.ts";
import { MemorySource } from "./byte_source.ts";

const SAMPLE: Pagemap = {
  pagesId: 3,
  entries: [
    { vaddr: 0n, nrPages: 1, flags: 0 },
    { vaddr: 0x7fff_ffff_f000n, nrPages: 0x7fff_ffff, flags: PE_PRESENT },
    { vaddr: 0x8000_0000n, nrPages: 0x8000_0000, flags: PE_PRESENT | PE_LAZY },
    { vaddr: 0xffff_ffff_ff60_0000n, nrPages: 0xffff_ffff, flags: PE_PARENT },
    { vaddr: 0x20_0000_0000_0001n, nrPages: 128, flags: PE_PRESENT },
  ],
};

/** What the generic codec makes of the same. */
function generic({ pagesId, entries }: Pagemap): Uint8Array {
  return encodeImage(PAGEMAP, {
    head: create(pagemap_headSchema, { pagesId }),
    entries: entries.map(({ vaddr, nrPages, flags }) => ({
      message: create(pagemap_entrySchema, {
        vaddr,
        flags,
        nrPages: BigInt(nrPages),
        compatNrPages: nrPages,
      }),
    })),
  });
}

/** A pagemap with one entry of these bytes. */
function entry(...bytes: number[]): Uint8Array {
  const head = encodePagemap(PAGEMAP, { pagesId: 1, entries: [] });
  return concat([head, new Uint8Array([bytes.length, 0, 0, 0, ...bytes])]);
}

Deno.test("encodePagemap() writes what the generic codec writes", () => {
  deepEqual(encodePagemap(PAGEMAP, SAMPLE), generic(SAMPLE));
});

Deno.test("decodePagemap() is the inverse of encodePagemap()", () => {
  deepEqual(decodePagemap(PAGEMAP, new MemorySource(encodePagemap(PAGEMAP, SAMPLE)), "x"), SAMPLE);
});

Deno.test("encodePagemap() keeps a number of pages above 32 bits out of the old field", () => {
  const large = { pagesId: 1, entries: [{ vaddr: 0n, nrPages: 2 ** 33, flags: 4 }] };
  const bytes = encodePagemap(PAGEMAP, large);
  deepEqual(decodePagemap(PAGEMAP, new MemorySource(bytes), "x"), large);
  equal(decodeImage(PAGEMAP, bytes, "x").entries[0]!.message.compatNrPages, 0);
});

Deno.test("encodePagemap() refuses numbers out of range", () => {
  const good = { vaddr: 0n, nrPages: 1, flags: 4 };
  for (
    const [bad, value] of [
      [{ nrPages: -1 }, "-1"],
      [{ nrPages: 1.5 }, "1.5"],
      [{ vaddr: -1n }, "-1"],
      [{ vaddr: 1n << 64n }, "18446744073709551616"],
      [{ flags: 2 ** 32 }, "4294967296"],
    ] as const
  ) {
    throws(() => encodePagemap(PAGEMAP, { pagesId: 1, entries: [{ ...good, ...bad }] }), {
      code: "internal",
      message: `${value} cannot stand in a pagemap`,
    });
  }
});

Deno.test("decodePagemap() reads entries as old versions wrote them", () => {
  const flagsOf = (...bytes: number[]) =>
    decodePagemap(PAGEMAP, new MemorySource(entry(8, 0, 16, 2, ...bytes)), "x").entries[0];
  deepEqual(flagsOf(), { vaddr: 0n, nrPages: 2, flags: PE_PRESENT });
  deepEqual(flagsOf(0x18, 1), { vaddr: 0n, nrPages: 2, flags: PE_PARENT });
  deepEqual(flagsOf(0x18, 0), { vaddr: 0n, nrPages: 2, flags: PE_PRESENT });
  deepEqual(flagsOf(0x20, 2, 0x28, 9), { vaddr: 0n, nrPages: 9, flags: PE_LAZY });
});

Deno.test("decodePagemap() steps over fields that it does not know", () => {
  const bytes = entry(0x32, 2, 1, 2, 0x3d, 1, 2, 3, 4, 0x41, 1, 2, 3, 4, 5, 6, 7, 8, 8, 5, 16, 2);
  deepEqual(decodePagemap(PAGEMAP, new MemorySource(bytes), "x").entries, [
    { vaddr: 5n, nrPages: 2, flags: PE_PRESENT },
  ]);
});

Deno.test("decodePagemap() says what is wrong", () => {
  const wrong: [Uint8Array, string][] = [
    [entry(16, 1), "the pagemap_entry lacks its required field vaddr"],
    [entry(8, 1), "the pagemap_entry lacks its required field compat_nr_pages"],
    [entry(8, 0x80), "what should be a pagemap_entry is none (cut varint)"],
    [entry(...Array(12).fill(0xff)), "what should be a pagemap_entry is none (cut varint)"],
    [entry(0x0a, 9, 1), "what should be a pagemap_entry is none (wire type 2)"],
    [entry(0x0b), "what should be a pagemap_entry is none (wire type 3)"],
    [
      entry(8, 1, 16, 1, 0x28, ...Array(9).fill(0xff), 1),
      "the pagemap_entry has an impossible number of pages",
    ],
  ];
  for (const [bytes, what] of wrong) {
    throws(() => decodePagemap(PAGEMAP, new MemorySource(bytes), "x"), {
      code: "bad-image",
      message: `x is damaged at byte 18: ${what}`,
    });
  }
  const head = encodePagemap(PAGEMAP, { pagesId: 1, entries: [] });
  throws(() => decodePagemap(PAGEMAP, new MemorySource(head.subarray(0, 8)), "x"), {
    message: "x is damaged at byte 8: it ends where a pagemap_head must begin",
  });
  throws(
    () =>
      decodePagemap(
        PAGEMAP,
        new MemorySource(concat([head.subarray(0, 8), new Uint8Array(4)])),
        "x",
      ),
    {
      message: "x is damaged at byte 12: the pagemap_head lacks its required field pages_id",
    },
  );
});

Deno.test("decodePagemap() ends in a value or a bad-image wherever it is cut or changed", () => {
  const bytes = encodePagemap(PAGEMAP, SAMPLE);
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at]! ^= 0x81;
    for (const one of [bytes.subarray(0, at), damaged]) {
      try {
        decodePagemap(PAGEMAP, new MemorySource(one), "x");
        if (one !== damaged) values++;
      } catch (error) {
        equal((error as StasisError).code, "bad-image", String(error));
      }
    }
  }
  equal(values, SAMPLE.entries.length); // behind the head and behind each entry but the last
});

Deno.test("encodePagemap() and decodePagemap() take time in proportion to the entries", () => {
  const time = (count: number) => {
    const entries = Array.from({ length: count }, (_, i) => ({
      vaddr: 0x7f00_0000_0000n + BigInt(i) * 8192n,
      nrPages: 1,
      flags: PE_PRESENT,
    }));
    let best = Infinity;
    for (let round = 0; round < 5; round++) {
      // Not the time that passes: other processes run beside this one.
      const start = cpuUsage();
      decodePagemap(
        PAGEMAP,
        new MemorySource(encodePagemap(PAGEMAP, { pagesId: 1, entries })),
        "x",
      );
      const { user, system } = cpuUsage(start);
      best = Math.min(best, (user + system) / 1000);
    }
    return best;
  };
  const small = time(10_000);
  const large = time(100_000);
  if (large > 40 * small + 50) throw new Error(`10,000: ${small} ms, 100,000: ${large} ms`);
});
