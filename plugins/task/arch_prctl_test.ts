import { deepEqual, equal } from "@std/assert";
import { grantedXstate, xstateNumbers } from "./arch_prctl.ts";

Deno.test("grantedXstate() has the tiles of AMX, and nothing that everybody may use", () => {
  equal(grantedXstate(0xe7n), undefined);
  // XTILE_CFG is granted to everybody, XTILE_DATA is not.
  equal(grantedXstate(0x200e7n), undefined);
  equal(grantedXstate(0x602e7n), 0x40000n);
  deepEqual(xstateNumbers(0x40000n), [18]);
});
