/**
 * Extended registers between the kernel's form (`NT_X86_XSTATE`: the xsave area in standard form) and the
 * images' (`user_x86_fpregs_entry`). The legacy area is `struct fxregs_state` of
 * `arch/x86/include/asm/fpu/types.h`, the header behind it `struct xstate_header`.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../../base/errors.ts";
import type { Pieces } from "../../base/pieces.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import type {
  user_x86_fpregs_entry,
  user_x86_fpregs_entrySchema,
} from "../../images/gen/registers_x86_pb.ts";
import { COMPONENT, type XstateLayout } from "./layout.ts";

/** The fixed words at the head of the legacy area. */
const legacy = defineStruct("fxregs_state", 512, {
  cwd: [0, "u16"],
  swd: [2, "u16"],
  twd: [4, "u16"],
  fop: [6, "u16"],
  rip: [8, "u64"],
  rdp: [16, "u64"],
  mxcsr: [24, "u32"],
  mxcsrMask: [28, "u32"],
});
const ST_SPACE = { offset: 32, words: 32 };
const XMM_SPACE = { offset: 160, words: 64 };

const header = defineStruct("xstate_header", 64, { xfeatures: [0, "u64"], xcompBv: [8, "u64"] });
const HEADER_OFFSET = 512;
/** The smallest area that has a header. */
const MINIMAL_SIZE = HEADER_OFFSET + header.size;

/** The image's field for each component: its name, and how many words of how many bytes it has. */
const FIELDS = [
  { component: COMPONENT.ymm, field: "ymmhSpace", words: 64, bytes: 4 },
  { component: COMPONENT.bndregs, field: "bndregState", words: 8, bytes: 8 },
  { component: COMPONENT.bndcsr, field: "bndcsrState", words: 8, bytes: 8 },
  { component: COMPONENT.opmask, field: "opmaskReg", words: 8, bytes: 8 },
  { component: COMPONENT.zmmHi256, field: "zmmUpper", words: 64, bytes: 8 },
  { component: COMPONENT.hi16Zmm, field: "hi16Zmm", words: 128, bytes: 8 },
  { component: COMPONENT.pkru, field: "pkru", words: 2, bytes: 4 },
] as const;

/** The fields of components that are in their initial state. */
const INITIAL = Object.fromEntries(
  FIELDS.map(({ field, words, bytes }) => [
    field,
    bytes === 4 ? Array<number>(words).fill(0) : Array<bigint>(words).fill(0n),
  ]),
);

/** Components that an image has room for. */
const KNOWN = FIELDS.reduce((bits, { component }) => bits | 1n << BigInt(component), 3n);

/** The components of a bit set, as people call them. */
function names(bits: bigint): string {
  const found: string[] = [];
  for (let number = 0; number < 64; number++) {
    if ((bits >> BigInt(number) & 1n) === 0n) continue;
    const name = Object.entries(COMPONENT).find(([, one]) => one === number)?.[0];
    found.push(name ?? `component ${number}`);
  }
  return found.join(", ");
}

/**
 * Whether images have room for all that an xsave area has.
 *
 * @param area as PTRACE_GETREGSET gives it
 * @throws {StasisError} `unsupported` where a component is in use that they have none for (AMX tiles)
 */
export function checkXstate(area: Uint8Array): void {
  if (area.byteLength < MINIMAL_SIZE) return;
  const unknown = header.read(area, HEADER_OFFSET).xfeatures & ~KNOWN;
  if (unknown === 0n) return;
  throw new StasisError(
    "unsupported",
    `it uses registers that images have no room for: ${names(unknown)}`,
    { hint: "AMX tiles are in use between tile loads and TILERELEASE: try again later" },
  );
}

/**
 * An xsave area in little memory, of thousands of threads: the words that are not 0, behind a bit for each word that says
 * whether it is there. Most are 0 where a thread waits; components in their initial state are all 0.
 *
 * @param area as PTRACE_GETREGSET gives it
 * @param pieces gives the memory
 */
export function packXstate(area: Uint8Array, pieces: Pieces): Uint8Array {
  const { words, begin } = packedLayout(area.byteLength);
  const from = new DataView(area.buffer, area.byteOffset, area.byteLength);
  let used = 0;
  for (let at = 0; at < words * WORD; at += WORD) {
    if ((from.getUint32(at, true) | from.getUint32(at + 4, true)) !== 0) used++;
  }
  const rest = area.subarray(words * WORD);
  const packed = pieces.bytes(begin + used * WORD + rest.length);
  const to = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  to.setUint32(0, area.byteLength, true);
  let at = begin;
  for (let word = 0; word < words; word++) {
    const low = from.getUint32(word * WORD, true), high = from.getUint32(word * WORD + 4, true);
    if ((low | high) === 0) continue;
    packed[SIZE_WORD + (word >> 3)]! |= 1 << (word & 7);
    to.setUint32(at, low, true);
    to.setUint32(at + 4, high, true);
    at += WORD;
  }
  packed.set(rest, at);
  return packed;
}

/** The inverse of {@link packXstate}. */
export function unpackXstate(packed: Uint8Array): Uint8Array {
  const size = new DataView(packed.buffer, packed.byteOffset).getUint32(0, true);
  const { words, begin } = packedLayout(size);
  const area = new Uint8Array(size);
  let at = begin;
  for (let word = 0; word < words; word++) {
    if ((packed[SIZE_WORD + (word >> 3)]! >> (word & 7) & 1) === 0) continue;
    area.set(packed.subarray(at, at + WORD), word * WORD);
    at += WORD;
  }
  area.set(packed.subarray(at), words * WORD);
  return area;
}

/** Where the size of the whole area stands; the bits follow it, and then the words. */
const SIZE_WORD = 4;
/** The size of a word. */
const WORD = 8;

/** How many words there are, and where in the packed form they begin. */
function packedLayout(size: number): { readonly words: number; readonly begin: number } {
  const words = Math.floor(size / WORD);
  return { words, begin: SIZE_WORD + Math.ceil(words / 8) };
}

/**
 * Reads an xsave area into the image's form.
 *
 * @param area as PTRACE_GETREGSET gives it; 512 bytes on a machine without xsave
 * @throws {StasisError} as {@link checkXstate}
 */
export function encodeXstate(
  area: Uint8Array,
  layout: XstateLayout,
): MessageInitShape<typeof user_x86_fpregs_entrySchema> {
  const { cwd, swd, twd, fop, rip, rdp, mxcsr, mxcsrMask } = legacy.read(area);
  const fpregs = { cwd, swd, twd, fop, rip, rdp, mxcsr, mxcsrMask };
  const spaces = {
    stSpace: words32(area, ST_SPACE.offset, ST_SPACE.words),
    xmmSpace: words32(area, XMM_SPACE.offset, XMM_SPACE.words),
  };
  if (area.byteLength < MINIMAL_SIZE) return { ...fpregs, ...spaces };
  checkXstate(area);
  const { xfeatures } = header.read(area, HEADER_OFFSET);
  const xsave: Record<string, unknown> = { xstateBv: xfeatures };
  for (const { component, field, words, bytes } of FIELDS) {
    const place = layout.get(component);
    if (place === undefined || place.offset + words * bytes > area.byteLength) continue;
    if ((xfeatures >> BigInt(component) & 1n) === 0n) {
      // In its initial state: all zeros, which the kernel gives too.
      xsave[field] = INITIAL[field];
    } else {
      xsave[field] = bytes === 4
        ? words32(area, place.offset, words)
        : words64(area, place.offset, words);
    }
  }
  return {
    ...fpregs,
    ...spaces,
    xsave: xsave as { xstateBv: bigint },
  };
}

/**
 * Why an image's extended registers cannot be set on this machine.
 *
 * @returns one sentence without a full stop, or undefined where nothing is in the way
 */
export function xstateProblem(
  fpregs: user_x86_fpregs_entry,
  layout: XstateLayout,
): string | undefined {
  if (fpregs.stSpace.length < ST_SPACE.words || fpregs.xmmSpace.length < XMM_SPACE.words) {
    return "its image of the floating point registers is cut short";
  }
  const { xsave } = fpregs;
  if (xsave === undefined) return undefined;
  const unknown = xsave.xstateBv & ~KNOWN;
  if (unknown !== 0n) return `its image has registers that are not known: ${names(unknown)}`;
  if (xsave.cet !== undefined && xsave.cet.cet !== 0n) {
    return "it had a shadow stack (CET), which cannot be restored yet";
  }
  let missing = 0n;
  for (const { component, field, words } of FIELDS) {
    const bit = 1n << BigInt(component);
    if ((xsave.xstateBv & bit) === 0n) continue;
    const place = layout.get(component);
    if (xsave[field].length < words) return `its image of the registers ${names(bit)} is cut short`;
    if (place === undefined) missing |= bit;
  }
  return missing === 0n
    ? undefined
    : `it used registers that this processor does not have: ${names(missing)}`;
}

/**
 * Writes an image's extended registers as an xsave area.
 *
 * @param size how many bytes the kernel wants: exactly what PTRACE_GETREGSET gives here
 * @returns the area; the bits of its header are those of the image, so what was in its initial state is so again
 */
export function decodeXstate(
  fpregs: user_x86_fpregs_entry,
  layout: XstateLayout,
  size: number,
): Uint8Array {
  const area = new Uint8Array(size);
  const { cwd, swd, twd, fop, rip, rdp, mxcsr, mxcsrMask } = fpregs;
  legacy.write(area, { cwd, swd, twd, fop, rip, rdp, mxcsr, mxcsrMask });
  const view = new DataView(area.buffer);
  fpregs.stSpace.slice(0, ST_SPACE.words).forEach((word, index) =>
    view.setUint32(ST_SPACE.offset + index * 4, word, true)
  );
  fpregs.xmmSpace.slice(0, XMM_SPACE.words).forEach((word, index) =>
    view.setUint32(XMM_SPACE.offset + index * 4, word, true)
  );
  if (size < MINIMAL_SIZE) return area;
  const { xsave } = fpregs;
  // An image without xsave has legacy registers and nothing else.
  let xfeatures = 3n;
  if (xsave !== undefined) {
    xfeatures = xsave.xstateBv & 3n;
    for (const { component, field, words, bytes } of FIELDS) {
      const place = layout.get(component);
      const bit = xsave.xstateBv & 1n << BigInt(component);
      if (place === undefined || bit === 0n) continue;
      xfeatures |= bit;
      const values: readonly (number | bigint)[] = xsave[field].slice(0, words);
      values.forEach((word, index) => {
        if (bytes === 4) view.setUint32(place.offset + index * 4, Number(word), true);
        else view.setBigUint64(place.offset + index * 8, BigInt(word), true);
      });
    }
  }
  header.write(area, { xfeatures }, HEADER_OFFSET);
  return area;
}

/** Numbers of 4 bytes; a copy, since the area need not lie at a multiple of 4. */
function words32(area: Uint8Array, offset: number, count: number): number[] {
  return Array.from(new Uint32Array(area.slice(offset, offset + count * 4).buffer));
}

/** Numbers of 8 bytes. */
function words64(area: Uint8Array, offset: number, count: number): bigint[] {
  return Array.from(new BigUint64Array(area.slice(offset, offset + count * 8).buffer));
}
