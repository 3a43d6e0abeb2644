/**
 * The three TLS entries of the GDT, which set_thread_area(2) sets. 64-bit programs have their TLS behind
 * fs_base and leave these empty, unless they run some 32-bit code (Wine). Source: `struct user_desc` of
 * `arch/x86/include/uapi/asm/ldt.h`, `arch/x86/kernel/tls.c`.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { user_desc_t, user_desc_tSchema } from "../../images/gen/registers_x86_pb.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct user_desc`. */
export const userDesc = defineStruct("user_desc", 16, {
  entryNumber: [0, "u32"],
  baseAddr: [4, "u32"],
  limit: [8, "u32"],
  bits: [12, "u32"],
});

/** GDT_ENTRY_TLS_MIN and how many there are (`arch/x86/include/asm/segment.h`). */
export const TLS_ENTRIES = [12, 13, 14] as const;

/** An entry in the image's form. */
export type TlsEntry = MessageInitShape<typeof user_desc_tSchema>;

/** The image's form of a `struct user_desc`. */
export function encodeUserDesc(bytes: Uint8Array): TlsEntry {
  const { entryNumber, baseAddr, limit, bits } = userDesc.read(bytes);
  const bit = (number: number): boolean => (bits >> number & 1) === 1;
  return {
    entryNumber,
    baseAddr,
    limit,
    seg32bit: bit(0),
    contentsL: bit(1),
    contentsH: bit(2),
    readExecOnly: bit(3),
    limitInPages: bit(4),
    segNotPresent: bit(5),
    usable: bit(6),
  };
}

/** An empty entry, as the kernel describes one (`LDT_empty()`). */
export function emptyTls(entryNumber: number): TlsEntry {
  return encodeUserDesc(userDesc.make({ entryNumber, bits: EMPTY_BITS }));
}

const EMPTY_BITS = 1 << 3 | 1 << 5;

/** Whether a `struct user_desc` is the one of an empty entry. */
export function isEmptyDesc(bytes: Uint8Array): boolean {
  const { baseAddr, limit, bits } = userDesc.read(bytes);
  return baseAddr === 0 && limit === 0 && bits === EMPTY_BITS;
}

/** Whether an image's entry is empty. */
export function isEmptyTls(entry: user_desc_t): boolean {
  return entry.baseAddr === 0 && entry.limit === 0 && entry.segNotPresent;
}

/** The inverse of {@link encodeUserDesc}. */
export function decodeUserDesc(entry: user_desc_t): Uint8Array {
  const flags = [
    entry.seg32bit,
    entry.contentsL,
    entry.contentsH,
    entry.readExecOnly,
    entry.limitInPages,
    entry.segNotPresent,
    entry.usable,
  ];
  const bits = flags.reduce((sum, flag, index) => flag ? sum | 1 << index : sum, 0);
  const { entryNumber, baseAddr, limit } = entry;
  return userDesc.make({ entryNumber, baseAddr, limit, bits });
}
