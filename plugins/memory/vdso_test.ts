import { deepEqual, equal } from "@std/assert";
import { VMA_AREA_REGULAR, VMA_AREA_VDSO, VMA_AREA_VVAR } from "../../images/flags.ts";
import { ownVdso, placeVdso, type SavedPart } from "./vdso.ts";

const VVAR = VMA_AREA_REGULAR | VMA_AREA_VVAR, VDSO = VMA_AREA_REGULAR | VMA_AREA_VDSO;
const part = (start: bigint, size: bigint, status: number, prot = status === VDSO ? 5 : 1) => ({
  start,
  end: start + size,
  status,
  prot,
});
const machine = [
  { name: "[vvar]", offset: 0n, size: 0x4000n },
  { name: "[vvar_vclock]", offset: 0x4000n, size: 0x2000n },
  { name: "[vdso]", offset: 0x6000n, size: 0x2000n },
];

const places = (...parts: SavedPart[]) =>
  placeVdso(parts, machine)?.map(({ offset, to }) => [offset, to]);
const AT = 0x7ffc00000000n;
const WHOLE = [[0n, AT], [0x4000n, AT + 0x4000n], [0x6000n, AT + 0x6000n]];

Deno.test("placeVdso() puts the same layout where it was, however the pages of time are divided", () => {
  const code = part(AT + 0x6000n, 0x2000n, VDSO);
  deepEqual(places(part(AT, 0x4000n, VVAR), part(AT + 0x4000n, 0x2000n, VVAR), code), WHOLE);
  deepEqual(places(part(AT, 0x6000n, VVAR), code), WHOLE);
});

Deno.test("placeVdso() puts parts that were moved where they are, and leaves out what was unmapped", () => {
  deepEqual(places(part(AT, 0x2000n, VDSO)), [[0x6000n, AT]]);
  deepEqual(places(part(AT, 0x2000n, VVAR)), [[0x4000n, AT]]);
  deepEqual(places(part(AT, 0x2000n, VDSO), part(AT + 0x9000n, 0x4000n, VVAR)), [
    [0x6000n, AT],
    [0n, AT + 0x9000n],
  ]);
  deepEqual(places(), []);
});

Deno.test("placeVdso() sets protections that are not the kernel's", () => {
  const prots = (...parts: SavedPart[]) => placeVdso(parts, machine)?.map(({ prot }) => prot);
  deepEqual(prots(part(AT, 0x2000n, VDSO, 1), part(AT + 0x9000n, 0x4000n, VVAR)), [1, undefined]);
});

Deno.test("placeVdso() knows the vDSO of another kernel by its sizes", () => {
  equal(places(part(0n, 0x6000n, VVAR), part(0x6000n, 0x1000n, VDSO)), undefined);
  equal(places(part(0n, 0x3000n, VVAR)), undefined);
  equal(places(part(0n, 0x2000n, VDSO), part(0x2000n, 0x2000n, VDSO)), undefined);
});

Deno.test("ownVdso() reads the ELF file that the kernel mapped", () => {
  const bytes = ownVdso();
  equal(new TextDecoder().decode(bytes?.subarray(1, 4)), "ELF");
});
