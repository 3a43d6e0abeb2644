import { deepEqual, throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { SyscallProgram } from "../remote/program.ts";
import { encodeFilter } from "../checkpoint/socket_filter.ts";
import { decodeFilter, planFilter } from "./socket_filter.ts";

Deno.test("encodeFilter() puts code, jumps and constant where CRIU has them", () => {
  // BPF_JMP | BPF_JEQ | BPF_K with jumps 2 and 3.
  const bytes = Uint8Array.of(0x15, 0, 2, 3, 0x78, 0x56, 0x34, 0x12);
  deepEqual(encodeFilter(bytes), [0x0015_02_03_12345678n]);
  deepEqual(decodeFilter(encodeFilter(bytes)), bytes);
});

Deno.test("planFilter() refuses a filter that is longer than any", () => {
  const most = Array.from({ length: 4096 }, () => 0n);
  const program = new SyscallProgram("test");
  planFilter(program, 3, most);
  throws(() => planFilter(program, 3, [...most, 0n]), StasisError, "of 4097 instructions");
});
