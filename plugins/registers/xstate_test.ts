import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, match, throws } from "@std/assert";
import { user_x86_fpregs_entrySchema } from "../../images/gen/registers_x86_pb.ts";
import type { XstateLayout } from "./layout.ts";
import { Pieces } from "../../base/pieces.ts";
import { decodeXstate, encodeXstate, packXstate, unpackXstate, xstateProblem } from "./xstate.ts";

const layoutOf = (...parts: [number: number, offset: number, size: number][]): XstateLayout =>
  new Map(parts.map(([number, offset, size]) => [number, { number, offset, size }]));

const SKYLAKE = layoutOf(
  [2, 576, 256],
  [5, 1088, 64],
  [6, 1152, 512],
  [7, 1664, 1024],
  [9, 2688, 8],
);
/** Without MPX everything lies lower. */
const ZEN = layoutOf([2, 576, 256], [5, 832, 64], [6, 896, 512], [7, 1408, 1024], [9, 2432, 8]);
const AVX_ONLY = layoutOf([2, 576, 256]);

/** An area with something different in every byte of every component, as the kernel would give it. */
function area(layout: XstateLayout, xfeatures: bigint): Uint8Array {
  const size = Math.max(...[...layout.values()].map(({ offset, size }) => offset + size));
  const bytes = new Uint8Array(size);
  for (let at = 0; at < 416; at++) bytes[at] = at * 7 & 0xff;
  for (const { number, offset, size } of layout.values()) {
    if ((xfeatures >> BigInt(number) & 1n) === 0n) continue;
    for (let at = 0; at < size; at++) bytes[offset + at] = at * 13 + number & 0xff;
  }
  new DataView(bytes.buffer).setBigUint64(512, xfeatures, true);
  return bytes;
}

const image = (bytes: Uint8Array, layout: XstateLayout) =>
  create(user_x86_fpregs_entrySchema, encodeXstate(bytes, layout));

Deno.test("decodeXstate() gives back every byte that encodeXstate() got", () => {
  const ALL = 0b1011100111n;
  for (const layout of [SKYLAKE, ZEN]) {
    const bytes = area(layout, ALL);
    deepEqual(decodeXstate(image(bytes, layout), layout, bytes.length), bytes);
  }
});

Deno.test("decodeXstate() keeps what is in its initial state in it", () => {
  const bytes = area(SKYLAKE, 3n);
  const back = decodeXstate(image(bytes, SKYLAKE), SKYLAKE, bytes.length);
  equal(new DataView(back.buffer).getBigUint64(512, true), 3n);
});

Deno.test("decodeXstate() moves components to where this processor has them", () => {
  const used = 0b1011100111n;
  const bytes = area(SKYLAKE, used);
  const moved = decodeXstate(image(bytes, SKYLAKE), ZEN, 2440);
  deepEqual(moved.subarray(832, 832 + 64), bytes.subarray(1088, 1088 + 64));
  deepEqual(moved.subarray(2432, 2440), bytes.subarray(2688, 2696));
});

Deno.test("unpackXstate() gives back every byte that packXstate() got, of any size", () => {
  const whole = area(SKYLAKE, 0b1011100111n);
  for (const bytes of [whole, area(ZEN, 3n), whole.subarray(4, 13), new Uint8Array(512)]) {
    deepEqual(unpackXstate(packXstate(bytes, new Pieces())), bytes.slice());
  }
});

Deno.test("packXstate() takes little for what is 0", () => {
  equal(packXstate(new Uint8Array(2696), new Pieces()).byteLength, 4 + Math.ceil(2696 / 64));
});

Deno.test("xstateProblem() finds registers in use that this processor lacks, and no others", () => {
  equal(xstateProblem(image(area(SKYLAKE, 0b111n), SKYLAKE), AVX_ONLY), undefined);
  match(
    xstateProblem(image(area(SKYLAKE, 0b11100111n), SKYLAKE), AVX_ONLY) ?? "",
    /opmask, zmmHi256, hi16Zmm/,
  );
});

Deno.test("xstateProblem() finds an image that is cut short", () => {
  const cut = image(area(SKYLAKE, 0b111n), SKYLAKE);
  cut.xsave?.ymmhSpace.pop();
  match(xstateProblem(cut, SKYLAKE) ?? "", /ymm is cut short/);
  cut.xmmSpace.pop();
  match(xstateProblem(cut, SKYLAKE) ?? "", /floating point/);
});

Deno.test("encodeXstate() refuses AMX tiles in use", () => {
  const bytes = area(SKYLAKE, 3n | 1n << 17n | 1n << 18n);
  throws(() => encodeXstate(bytes, SKYLAKE), /tileConfig, tileData/);
});

Deno.test("encodeXstate() of a machine without xsave has the legacy registers alone", () => {
  const legacy = area(SKYLAKE, 3n).subarray(0, 512);
  const entry = create(user_x86_fpregs_entrySchema, encodeXstate(legacy, new Map()));
  equal(entry.xsave, undefined);
  deepEqual(decodeXstate(entry, new Map(), 512), Uint8Array.from(legacy));
});
