/**
 * Contents that are taken out of their tasks while these stand still, and written when they run again: allocating the
 * pages of a file takes several times as long as copying them. For tasks whose memory is small enough altogether;
 * the others write their own (`target_writer.ts`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import { HugeMemory } from "../../core/linux/huge_memory_ffi.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { RemoteTask } from "../../core/remote/remote_task.ts";
import { cutTransfers, iovecs, type Run } from "./runs.ts";

/** How much of this process's memory is taken for it, in bytes. */
const LIMIT = 48n << 20n;
/** How much is copied by one call, between two looks whether the operation was cancelled. */
const PIECE = 4n << 20n;

/** Which of these sizes are held: as many of the tasks as fit, in their order. */
export function chooseHeld(sizes: readonly bigint[], limit = LIMIT): boolean[] {
  let left = limit;
  return sizes.map((size) => {
    if (size === 0n || size > left) return false;
    left -= size;
    return true;
  });
}

/** From so many tasks on what is held is written bit by bit, so that this process does not grow with them. */
const MANY = 256;
/** How much of theirs is held at a time, in bytes. */
const LOT = 8n << 20n;

/** Files by how much of them is held at a time: all at once, unless there are very many. */
export function lotsOf<File extends { readonly size: bigint }>(files: readonly File[]): File[][] {
  if (files.length === 0) return [];
  if (files.length < MANY) return [[...files]];
  const lots: File[][] = [];
  let left = 0n;
  for (const file of files) {
    const lot = lots.at(-1);
    if (lot !== undefined && file.size <= left) lot.push(file);
    else {
      lots.push([file]);
      left = LOT;
    }
    left -= file.size;
  }
  return lots;
}

/**
 * The contents of some runs, one behind the other, of which a task may be unable to read some itself.
 *
 * @param buffer exactly as large as the runs
 * @param address where it lies in this process
 * @param shared whether the task has them in common with others, copy-on-write: process_vm_readv(2) pins what it
 *   reads, and what is pinned gets a copy first (gup_must_unshare() of `mm/internal.h`, 5.19 and later)
 * @param check throws where the operation is cancelled
 * @throws {StasisError} `syscall` where there is no such memory, `no-such-task`
 */
export function copyContents(
  remote: RemoteTask,
  runs: readonly Run[],
  { buffer, address, shared, check }: {
    readonly buffer: Uint8Array;
    readonly address: bigint;
    readonly shared: boolean;
    readonly check: () => void;
  },
): void {
  for (const { runs: piece, offset, size } of cutTransfers(runs, 0n, PIECE)) {
    check();
    if (!shared && copyAtOnce(remote, piece, address + offset, size)) continue;
    // What the task may not read itself it gives through its memory file alone.
    let at = Number(offset);
    for (const { start, size } of piece) {
      const end = at + Number(size);
      remote.memory.readInto(remoteAddress(start), buffer.subarray(at, end));
      at = end;
    }
  }
}

/** Copies runs by one call. @returns whether all of them came */
function copyAtOnce(
  { pid }: RemoteTask,
  runs: readonly Run[],
  address: bigint,
  size: bigint,
): boolean {
  const here = new Uint8Array(BigUint64Array.of(address, size).buffer);
  const there = iovecs(runs);
  const count = BigInt(runs.length);
  return syscall(SYSCALLS.process_vm_readv, pid, here, 1n, there, count, 0n) === size;
}

/** Memory for contents of these sizes, and the part of each; undefined where there is not so much. */
export function divide(
  sizes: readonly bigint[],
):
  | { readonly memory: HugeMemory; readonly parts: { buffer: Uint8Array; address: bigint }[] }
  | undefined {
  let memory: HugeMemory;
  try {
    memory = new HugeMemory(Number(sizes.reduce((sum, size) => sum + size, 0n)));
  } catch (error) {
    if (error instanceof StasisError) return undefined;
    throw error;
  }
  let at = 0;
  const parts = sizes.map((size) => {
    const start = at;
    at += Number(size);
    return { buffer: memory.bytes.subarray(start, at), address: memory.address + BigInt(start) };
  });
  return { memory, parts };
}
