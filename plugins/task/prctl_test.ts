import { equal } from "@std/assert";
import { decodeName } from "./dump.ts";
import { speculationToSave } from "./prctl.ts";
import { foreignNamespaces } from "./survey.ts";
import { deepEqual } from "@std/assert";

Deno.test("speculationToSave() saves what prctl() can set and what is not the default", () => {
  const STORE_BYPASS = 0, L1D_FLUSH = 2, PRCTL = 1, ENABLE = 2, DISABLE = 4, FORCE = 8;
  equal(speculationToSave(STORE_BYPASS, -19), undefined);
  equal(speculationToSave(STORE_BYPASS, 0), undefined);
  equal(speculationToSave(STORE_BYPASS, PRCTL | ENABLE), undefined);
  equal(speculationToSave(STORE_BYPASS, PRCTL | DISABLE), DISABLE);
  equal(speculationToSave(STORE_BYPASS, PRCTL | FORCE), FORCE);
  equal(speculationToSave(STORE_BYPASS, DISABLE), undefined);
  equal(speculationToSave(L1D_FLUSH, PRCTL | DISABLE), undefined);
  equal(speculationToSave(L1D_FLUSH, PRCTL | ENABLE), ENABLE);
});

Deno.test("decodeName() keeps the bytes of a name that is no UTF-8", () => {
  const bytes = (...name: number[]) => new Uint8Array(16).fill(0).map((_, at) => name[at] ?? 0);
  deepEqual(decodeName(bytes(0x61, 0x62)), { text: "ab" });
  deepEqual(decodeName(bytes(0x61, 0xff)).bytes, Uint8Array.of(0x61, 0xff));
  // The kernel cuts names at 15 bytes, which may be in the middle of a character.
  equal(decodeName(bytes(0xef, 0xbb, 0xbf)).text, "\ufeff");
});

Deno.test("foreignNamespaces() compares what both have", () => {
  const own = { mnt: 1n, net: 2n, time: 3n };
  deepEqual(foreignNamespaces(own, { mnt: 1n, net: 9n, pid: 5n }), ["net"]);
  deepEqual(foreignNamespaces(own, own), []);
});
