/**
 * Why a task can have no scratch memory: at which of its limits it is.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE, TASK_SIZE } from "../linux/address.ts";
import {
  type Mapping,
  mappingKind,
  type ResourceLimit,
  RLIM_INFINITY,
} from "../linux/procfs/mod.ts";

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
  /** The largest range of addresses that nothing is mapped in, in bytes. */
  readonly hole: bigint;
}

/** Where the first mapping may begin (vm.mmap_min_addr). */
const LOWEST = 0x10000n;
/** What the kernel keeps free below a stack (stack_guard_gap of `mm/mmap.c`). */
const STACK_GAP = 256n * PAGE_SIZE;

/**
 * The largest range that none of these leaves free for others.
 *
 * @param mappings ascending
 */
export function largestHole(
  mappings: Iterable<Pick<Mapping, "start" | "end" | "name" | "deleted">>,
): bigint {
  let largest = 0n;
  let from = LOWEST;
  const look = (to: bigint): void => {
    if (to - from > largest) largest = to - from;
  };
  for (const mapping of mappings) {
    look(mappingKind(mapping) === "stack" ? mapping.start - STACK_GAP : mapping.start);
    if (mapping.end > from) from = mapping.end;
  }
  look(TASK_SIZE);
  return largest;
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
    : undefined;
  const other = room.hole < wanted
    ? "its address space has no hole of that size"
    : `the kernel gives it no more memory (${errno})`;
  const hint = why !== undefined
    ? "raise that limit (prlimit(1), sysctl(8)), then try again"
    : room.hole < wanted
    ? "have the program unmap something (munmap) that it only reserves"
    : "see what the machine's memory is committed to (/proc/meminfo, vm.overcommit_memory)";
  return new StasisError(
    "unsupported",
    `task ${pid} cannot have the ${kib(wanted)} of memory that a checkpoint needs in it: ${
      why ?? other
    }`,
    { pid, errno, hint },
  );
}
