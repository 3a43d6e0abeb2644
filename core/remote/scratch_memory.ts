/**
 * Scratch memory: what a target lends for the programs that run in it.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE, type RemoteAddress, remoteAddress } from "../linux/address.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import type { ProcessMemory } from "../linux/memory.ts";
import { mappingKind, readLimits, readMaps, readStatus } from "../linux/procfs/mod.ts";
import { PROGRAM_CODE } from "../linux/x86_64/program_code.ts";
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import { largestHole, noRoom } from "./scratch_limits.ts";
import type { Noted } from "./undo.ts";

/**
 * Scratch memory in a target. The code lies in its first page, then comes one in which programs may look whether
 * their tracer lives (`RemoteTask.watchTracer`), one over which they may map what they like
 * (`ScratchData.SPARE_PAGE`), and the programs behind it.
 */
export interface Scratch {
  readonly address: RemoteAddress;
  readonly size: bigint;
  /** The note that has it unmapped should the tool die. */
  readonly noted?: Noted;
}

/** The task that lends it. */
interface Lender {
  readonly pid: number;
  readonly leader: { readonly tid: number };
  readonly memory: ProcessMemory;
  /** One call in it: the result, or the negative errno. */
  tryCall(name: SyscallName, ...args: (bigint | number)[]): bigint;
  /** A call that takes something back and must succeed. */
  undoCall(name: SyscallName, ...args: (bigint | number)[]): bigint;
  /** Notes a call that is made in it should the tool die. */
  noteCall(name: SyscallName, ...args: (bigint | number)[]): Noted | undefined;
}

/** Finds where a mapping of a size fits, if the task has room anywhere. */
type FindRoom = (size: bigint) => RemoteAddress | undefined;

const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
const MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000;
/** What of scratch memory lies in front of the programs: the code, the page with the tracer's word, the spare one. */
export const SCRATCH_HEADER: bigint = 3n * PAGE_SIZE;
/** Scratch memory is taken in steps of this size, so that small programs share one. */
const SCRATCH_STEP = 65536n;

/**
 * Maps scratch memory of at least `needed` bytes in a task, the header included.
 *
 * @throws {StasisError} `syscall` if the task has no room for it, which says what of
 */
export function mapScratch(task: Lender, needed: bigint, findRoom?: FindRoom): Scratch {
  const size = scratchSize(needed);
  const scratch = mapNoted(task, size, findRoom);
  return orUnmap(task, scratch, () => {
    const { address } = scratch;
    const rest = size - PAGE_SIZE;
    const split = task.tryCall("mprotect", address + PAGE_SIZE, rest, PROT_READ | PROT_WRITE);
    if (isErrno(split)) throw noRoomIn(task, size, split);
    task.memory.write(address, PROGRAM_CODE);
    return scratch;
  });
}

/**
 * Does something with memory that is mapped, or may be: a call whose result nobody has been told may have been made.
 * Where it fails, the memory is unmapped.
 */
function orUnmap<T>(task: Lender, scratch: Scratch, work: () => T): T {
  try {
    return work();
  } catch (error) {
    try {
      unmapScratch(task, scratch);
    } catch (unmapping) {
      // A task that is gone has no memory either.
      if (!(unmapping instanceof StasisError && unmapping.code === "no-such-task")) throw unmapping;
    }
    throw error;
  }
}

function scratchSize(needed: bigint): bigint {
  return ((needed + SCRATCH_STEP - 1n) / SCRATCH_STEP) * SCRATCH_STEP;
}

/** A task that is to have scratch memory, at a place where there is room. */
export interface Borrower {
  readonly task: Lender;
  /** How much at the least, in bytes. */
  readonly needed: bigint;
  readonly findRoom: FindRoom;
  /** Is given it as soon as it is mapped. */
  readonly take: (scratch: Scratch) => void;
}

/** Makes the same call in each of many tasks: the arguments, and what is done with the result or the negative errno. */
export type CallMany = (
  name: SyscallName,
  calls: readonly {
    readonly task: Lender;
    readonly args: readonly (bigint | number)[];
    readonly take: (result: bigint) => void;
  }[],
) => void;

/**
 * Maps scratch memory in many tasks, at the same time. Those in which that does not succeed at once are left out.
 *
 * @throws {StasisError} as a call may; what is mapped has been taken
 */
export function mapScratchInMany(borrowers: readonly Borrower[], callMany: CallMany): void {
  const mapped: { readonly task: Lender; readonly scratch: Scratch }[] = [];
  const roomy = borrowers.flatMap((borrower) => {
    const size = scratchSize(borrower.needed);
    const address = borrower.findRoom(size);
    return address === undefined ? [] : [{ ...borrower, size, address }];
  });
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  callMany(
    "mmap",
    roomy.map(({ task, take, size, address }) => {
      const noted = task.noteCall("munmap", address, size);
      return {
        task,
        args: [address, size, PROT_READ | PROT_EXEC, flags, -1, 0],
        take(result) {
          if (isErrno(result)) return noted?.erase();
          const scratch = { address, size, noted };
          take(scratch);
          mapped.push({ task, scratch });
        },
      };
    }),
  );
  callMany(
    "mprotect",
    mapped.map(({ task, scratch: { address, size } }) => ({
      task,
      args: [address + PAGE_SIZE, size - PAGE_SIZE, PROT_READ | PROT_WRITE],
      take(result) {
        if (isErrno(result)) throw noRoomIn(task, size, result);
        task.memory.write(address, PROGRAM_CODE);
      },
    })),
  );
}

/** Unmaps it again. */
export function unmapScratch(task: Lender, { address, size, noted }: Scratch): void {
  task.undoCall("munmap", address, size);
  noted?.erase();
}

/** Maps memory at a place that was noted before, or, where none is free, at one of the kernel's choice. */
function mapNoted(task: Lender, size: bigint, findRoom?: FindRoom): Scratch {
  const room = findRoom?.(size);
  if (room !== undefined) {
    const scratch = { address: room, size, noted: task.noteCall("munmap", room, size) };
    const result = orUnmap(task, scratch, () => mapAt(task, room, size, MAP_FIXED_NOREPLACE));
    if (!isErrno(result)) return scratch;
    scratch.noted?.erase();
  }
  const mapped = mapAt(task, 0n, size, 0);
  if (isErrno(mapped)) throw noRoomIn(task, size, mapped);
  const scratch = { address: remoteAddress(mapped), size };
  return orUnmap(task, scratch, () => ({
    ...scratch,
    noted: task.noteCall("munmap", mapped, size),
  }));
}

/** Never writable and executable at once: PR_SET_MDWE and SELinux's execmem forbid that. */
function mapAt(task: Lender, at: bigint, size: bigint, flags: number): bigint {
  const anonymous = MAP_PRIVATE | MAP_ANONYMOUS | flags;
  return task.tryCall("mmap", at, size, PROT_READ | PROT_EXEC, anonymous, -1, 0);
}

function noRoomIn({ pid, leader: { tid } }: Lender, wanted: bigint, result: bigint): StasisError {
  const { memory } = readStatus(tid);
  // The page of vsyscalls is in the list and is no mapping of the task's own.
  const mappings = readMaps(tid).filter((one) => mappingKind(one) !== "vsyscall");
  return noRoom(pid, wanted, errnoName(-result), {
    size: BigInt(memory?.size ?? 0),
    data: BigInt(memory?.data ?? 0),
    mappings: mappings.length,
    maxMappings: Number(Deno.readTextFileSync("/proc/sys/vm/max_map_count")),
    limits: readLimits(tid),
    hole: largestHole(mappings),
  });
}
