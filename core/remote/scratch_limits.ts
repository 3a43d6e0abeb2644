/**
 * Why a task can have no scratch memory: at which of its limits it is.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type ResourceLimit, RLIM_INFINITY } from "../linux/procfs/mod.ts";

/** What a task has and may have. */
export interface Room {
  /** Its address space in bytes (VmSize). */
  readonly size: bigint;
  /** Its private writable memory in bytes (VmData). */
  readonly data: bigint;
  /** How many mappings it has. */
  readonly mappings: number;
  /** How many a task may have: `/proc/sys/vm/max_map_count`. */
  readonly maxMappings: number;
  readonly limits: readonly ResourceLimit[];
}

/** Scratch memory is two mappings: code, and the rest. */
const SCRATCH_MAPPINGS = 2;

/**
 * The error for a task in which scratch memory cannot be mapped.
 *
 * @param wanted in bytes
 * @param errno by name, what mmap(2) or mprotect(2) said
 */
export function noRoom(pid: number, wanted: bigint, errno: string, room: Room): StasisError {
  const limit = (name: ResourceLimit["name"]): bigint =>
    room.limits.find((one) => one.name === name)?.soft ?? RLIM_INFINITY;
  const kib = (bytes: bigint): string => `${bytes >> 10n} KiB`;
  const over = (name: ResourceLimit["name"], used: bigint): boolean => used + wanted > limit(name);
  const why = over("RLIMIT_AS", room.size)
    ? `its address space of ${kib(room.size)} is at its limit (RLIMIT_AS, ${
      kib(limit("RLIMIT_AS"))
    })`
    : room.mappings + SCRATCH_MAPPINGS > room.maxMappings
    ? `it has ${room.mappings} of the ${room.maxMappings} mappings that a process may have ` +
      "(vm.max_map_count)"
    : over("RLIMIT_DATA", room.data)
    ? `its data of ${kib(room.data)} is at its limit (RLIMIT_DATA, ${kib(limit("RLIMIT_DATA"))})`
    : errno === "EAGAIN"
    ? "it locks all its memory, and its limit for that is reached (RLIMIT_MEMLOCK)"
    : "the kernel gives it no more memory";
  return new StasisError(
    "unsupported",
    `task ${pid} cannot have the ${kib(wanted)} of memory that a checkpoint needs in it: ${why}`,
    { pid, errno, hint: "raise that limit (prlimit(1), sysctl(8)), then try again" },
  );
}
