import { deepEqual } from "@std/assert";
import { encodeFilter } from "../checkpoint/socket_filter.ts";
import { decodeFilter } from "./socket_filter.ts";

Deno.test("encodeFilter() puts code, jumps and constant where CRIU has them", () => {
  // BPF_JMP | BPF_JEQ | BPF_K with jumps 2 and 3.
  const bytes = Uint8Array.of(0x15, 0, 2, 3, 0x78, 0x56, 0x34, 0x12);
  deepEqual(encodeFilter(bytes), [0x0015_02_03_12345678n]);
  deepEqual(decodeFilter(encodeFilter(bytes)), bytes);
});
