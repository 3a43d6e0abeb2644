import { equal } from "@std/assert";
import { VMA_AREA_REGULAR, VMA_AREA_VDSO, VMA_AREA_VVAR } from "../../images/flags.ts";
import { ownVdso, vdsoDifference } from "./vdso.ts";

const VVAR = VMA_AREA_REGULAR | VMA_AREA_VVAR, VDSO = VMA_AREA_REGULAR | VMA_AREA_VDSO;
const part = (start: bigint, size: bigint, status: number) => ({
  start,
  end: start + size,
  status,
});
const machine = [
  { name: "[vvar]", offset: 0n, size: 0x4000n },
  { name: "[vvar_vclock]", offset: 0x4000n, size: 0x2000n },
  { name: "[vdso]", offset: 0x6000n, size: 0x2000n },
];

Deno.test("vdsoDifference() finds the same layout the same, wherever it lies", () => {
  const at = 0x7ffc00000000n;
  equal(
    vdsoDifference([
      part(at, 0x4000n, VVAR),
      part(at + 0x4000n, 0x2000n, VVAR),
      part(at + 0x6000n, 0x2000n, VDSO),
    ], machine),
    undefined,
  );
  // A kernel that has both in one mapping.
  equal(
    vdsoDifference([part(at, 0x6000n, VVAR), part(at + 0x6000n, 0x2000n, VDSO)], machine),
    undefined,
  );
});

Deno.test("vdsoDifference() tells other sizes, orders and distances", () => {
  const differ = (...parts: ReturnType<typeof part>[]) =>
    vdsoDifference(parts, machine) !== undefined;
  equal(differ(part(0n, 0x6000n, VVAR), part(0x6000n, 0x1000n, VDSO)), true);
  equal(differ(part(0n, 0x2000n, VDSO), part(0x2000n, 0x6000n, VVAR)), true);
  equal(differ(part(0n, 0x6000n, VVAR), part(0x7000n, 0x2000n, VDSO)), true);
  equal(differ(part(0n, 0x2000n, VDSO)), true);
});

Deno.test("ownVdso() reads the ELF file that the kernel mapped", () => {
  const bytes = ownVdso();
  equal(new TextDecoder().decode(bytes?.subarray(1, 4)), "ELF");
});
