import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { prctlMmMap } from "../../core/linux/mm_map.ts";
import { type ScratchData, SyscallProgram } from "../../core/remote/program.ts";
import { mm_entrySchema } from "../../images/gen/memory_pb.ts";
import { auxvBytes, planMmFields, savedAuxv } from "./mm_fields.ts";

Deno.test("savedAuxv() ends with AT_NULL, and auxvBytes() ends there too", () => {
  const { mmSavedAuxv: saved } = savedAuxv([[3n, 0x1000n], [25n, 0x2000n]]);
  deepEqual(saved, [3n, 0x1000n, 25n, 0x2000n, 0n, 0n]);
  // CRIU keeps the kernel's whole array.
  const words = new BigUint64Array(auxvBytes([...saved, 0n, 0n, 0n, 0n]).buffer);
  deepEqual([...words], saved);
  deepEqual([...new BigUint64Array(auxvBytes([]).buffer)], [0n, 0n]);
});

Deno.test("planMmFields() hands all fields over in one call", () => {
  const program = new SyscallProgram("test");
  const mm = create(mm_entrySchema, {
    mmStartCode: 1n,
    mmEndCode: 2n,
    mmStartBrk: 3n,
    mmBrk: 4n,
    mmEnvEnd: 5n,
    mmSavedAuxv: [3n, 7n, 0n, 0n],
  });
  planMmFields(program, mm, 71);
  equal(program.calls.length, 1);
  const data = program.calls[0]?.args[2] as ScratchData;
  const { startCode, endCode, startBrk, brk, envEnd, auxvSize, exeFd } = prctlMmMap.read(
    data.bytes,
  );
  deepEqual({ startCode, endCode, startBrk, brk, envEnd, auxvSize, exeFd }, {
    startCode: 1n,
    endCode: 2n,
    startBrk: 3n,
    brk: 4n,
    envEnd: 5n,
    auxvSize: 32,
    exeFd: 71,
  });
  equal(data.pointers[0]?.at, 88);
});

Deno.test("savedAuxv() gives CRIU no more words than it takes", () => {
  const entries = Array.from({ length: 24 }, (_, i) => [BigInt(i + 3), 7n] as const);
  const { mmSavedAuxv, auxvRest } = savedAuxv(entries);
  deepEqual([mmSavedAuxv.length, auxvRest.length], [44, 6]);
  const words = new BigUint64Array(auxvBytes([...mmSavedAuxv, ...auxvRest]).buffer);
  deepEqual([...words], [...entries.flat(), 0n, 0n]);
});
