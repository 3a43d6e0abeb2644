/**
 * The fields of an address space beside its mappings: where code, data, heap, stack, arguments and environment
 * lie, the auxiliary vector, the executable.
 *
 * @module
 */
import type { AuxEntry, TaskStat } from "../../core/linux/procfs/mod.ts";
import { PR } from "../../core/linux/mman.ts";
import { prctlMmMap } from "../../core/linux/mm_map.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { mm_entry } from "../../images/gen/memory_pb.ts";

/** The bounds, from `/proc/PID/stat`. */
export function mmBounds(stat: TaskStat) {
  return {
    mmStartCode: stat.startCode,
    mmEndCode: stat.endCode,
    mmStartData: stat.startData,
    mmEndData: stat.endData,
    mmStartStack: stat.startStack,
    mmStartBrk: stat.startBrk,
    mmArgStart: stat.argStart,
    mmArgEnd: stat.argEnd,
    mmEnvStart: stat.envStart,
    mmEnvEnd: stat.envEnd,
  };
}

/** How many words of an auxiliary vector CRIU takes (its AT_VECTOR_SIZE); kernels have had more since 6.3. */
const CRIU_WORDS = 44;

/** The auxiliary vector as the image has it: types and values in turn, AT_NULL at the end. */
export function savedAuxv(
  entries: readonly AuxEntry[],
): { readonly mmSavedAuxv: bigint[]; readonly auxvRest: bigint[] } {
  const words = [...entries.flat(), 0n, 0n];
  return { mmSavedAuxv: words.slice(0, CRIU_WORDS), auxvRest: words.slice(CRIU_WORDS) };
}

/** The vector's bytes, without what is behind AT_NULL: a kernel may have room for fewer entries. */
export function auxvBytes(saved: readonly bigint[]): Uint8Array {
  let length = 0;
  while (length < saved.length && saved[length] !== 0n) length += 2;
  const words = new BigUint64Array(length + 2);
  for (let at = 0; at < length; at++) words[at] = saved[at] ?? 0n;
  return new Uint8Array(words.buffer);
}

/**
 * Adds the call that sets all fields at once.
 *
 * @param exeFd the number of a descriptor of the executable, which must be a regular file that may be executed
 */
export function planMmFields(program: SyscallProgram, mm: mm_entry, exeFd: number): void {
  const auxv = program.data(auxvBytes([...mm.mmSavedAuxv, ...mm.auxvRest]), "auxv");
  const fields = prctlMmMap.make({
    startCode: mm.mmStartCode,
    endCode: mm.mmEndCode,
    startData: mm.mmStartData,
    endData: mm.mmEndData,
    startBrk: mm.mmStartBrk,
    brk: mm.mmBrk,
    startStack: mm.mmStartStack,
    argStart: mm.mmArgStart,
    argEnd: mm.mmArgEnd,
    envStart: mm.mmEnvStart,
    envEnd: mm.mmEnvEnd,
    auxvSize: auxv.bytes.byteLength,
    exeFd,
  });
  const map = program.data(fields, "prctl_mm_map").point(AUXV_AT, auxv);
  program.call("prctl", PR.SET_MM, PR.SET_MM_MAP, map, prctlMmMap.size, 0);
}

/** Where the vector's address stands in struct prctl_mm_map. */
const AUXV_AT = 88;
