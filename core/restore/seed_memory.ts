/**
 * The seed's memory before it bears anybody: scratch memory, the vDSO behind it, and nothing else. So every task that
 * comes from it has all other addresses free.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE } from "../linux/address.ts";
import { readMaps } from "../linux/procfs/mod.ts";
import { PROGRAM_CODE } from "../linux/x86_64/program_code.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import type { RestorePlan } from "./plan.ts";

const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
const MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;
const MAP_FIXED_NOREPLACE = 0x100000;
const MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2;
const TASK_SIZE = 0x7ffffffff000n;

/**
 * Prepares it.
 *
 * @param scratchSize in bytes
 * @returns the end of the parked vDSO
 */
export function prepareMemory(
  remote: RemoteTask,
  { scratch, parkedVdso, machine }: Pick<RestorePlan, "scratch" | "parkedVdso" | "machine">,
  scratchSize: bigint,
): bigint {
  const maps = readMaps(remote.pid);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  const { start } = scratch;
  remote.call("mmap", start, scratchSize, PROT_READ | PROT_WRITE, flags, -1, 0);
  remote.call("mprotect", start, PAGE_SIZE, PROT_READ | PROT_EXEC);
  remote.memory.write(start, PROGRAM_CODE);
  remote.adoptScratch(start, scratchSize);

  const clean = new SyscallProgram("the seed's memory");
  const parts = maps.filter((one) => machine.vdso.some((part) => part.name === one.name));
  let instruction = remote.instruction;
  let parkedEnd = 0n;
  for (const part of machine.vdso) {
    const found = parts.find((one) => one.name === part.name);
    if (found === undefined) {
      throw new StasisError("internal", `the seed has no ${part.name} mapping`);
    }
    const to = parkedVdso + part.offset;
    clean.call("mremap", found.start, part.size, part.size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    if (instruction >= found.start && instruction < found.end) {
      instruction = instruction - found.start + to as typeof instruction;
    }
    parkedEnd = to + part.size;
  }
  clean.call("munmap", 0, start);
  clean.call("munmap", parkedEnd, TASK_SIZE - parkedEnd);
  remote.run(clean);
  remote.instruction = instruction;
  return parkedEnd;
}
