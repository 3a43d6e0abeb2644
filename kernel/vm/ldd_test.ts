// SPDX-License-Identifier: MIT
import { deepStrictEqual, throws } from "@std/assert";
import { parseLdd } from "./ldd.ts";

Deno.test("parseLdd() takes libraries and the dynamic linker, not the vDSO", () => {
  const output = `\tlinux-vdso.so.1 (0x00007ffd1a5f2000)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f0a8d8c1000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f0a8da0a000)
`;
  deepStrictEqual(parseLdd(output), [
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib64/ld-linux-x86-64.so.2",
  ]);
});

Deno.test("parseLdd() finds nothing for a static program", () => {
  deepStrictEqual(parseLdd("\tnot a dynamic executable\n"), []);
});

Deno.test("parseLdd() names a library that is missing", () => {
  throws(() => parseLdd("\tlibnl-3.so.200 => not found\n"), /libnl-3\.so\.200/);
});
