/**
 * Copies memory of a process that runs into a file, by calls that other threads of this process make: the kernel takes
 * as long to copy pages out of a process as to find room for them in a file, and does both at once for several of them.
 *
 * @module
 */
import { HugeMemory } from "../../core/linux/huge_memory_ffi.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { type BatchCall, callAside } from "../../core/linux/x86_64/call_batch_ffi.ts";
import { iovecs, type Transfer } from "./runs.ts";
import { writeAll } from "./target_writer.ts";

/** While the memory of one lane is looked at here, the others go on. */
const LANES = 3;
/** The memory of a lane, in bytes: what is written out of it lies in the processor's caches still. */
const LANE = 8 << 20;
/** How many transfers a lane makes at a time. */
const MOST = 256;

/** Where it goes. */
export interface Destination {
  /** Open for writing. */
  readonly file: OwnedDescriptor;
  readonly path: string;
}

/** What became of one transfer. */
export interface Copied {
  readonly transfer: Transfer;
  /** What was written, for as long as the call lasts; undefined where not all of it could be read. */
  readonly bytes: Uint8Array | undefined;
}

/**
 * Copies.
 *
 * @param transfers none larger than a lane's memory
 * @param onCopied is told of each, in any order; it may throw
 * @throws {StasisError} `io` where there is no space; `syscall` where there is no memory for it
 */
export async function copyInLanes(
  pid: number,
  transfers: readonly Transfer[],
  { file, path }: Destination,
  onCopied: (copied: Copied) => void,
): Promise<void> {
  let next = 0;
  let isOver = false;
  const take = (): Transfer[] => {
    const lot: Transfer[] = [];
    for (let room = BigInt(LANE); next < transfers.length && lot.length < MOST; next++) {
      const transfer = transfers[next] as Transfer;
      if (transfer.size > room) break;
      room -= transfer.size;
      lot.push(transfer);
    }
    return lot;
  };
  using memory = new HugeMemory(LANES * LANE);
  const runLane = async (lane: number): Promise<void> => {
    for (let lot = take(); lot.length > 0 && !isOver; lot = take()) {
      const results = await callAside(
        ...callsOf(pid, file, lot, memory.address + BigInt(lane * LANE)),
      );
      let at = lane * LANE;
      for (const [index, transfer] of lot.entries()) {
        const size = Number(transfer.size);
        const bytes = memory.bytes.subarray(at, at += size);
        const isRead = results[2 * index] === transfer.size;
        // Whatever went wrong, from here it either works or has a better error.
        if (isRead && results[2 * index + 1] !== transfer.size) {
          writeAll(file.fd, bytes, transfer.offset, path);
        }
        onCopied({ transfer, bytes: isRead ? bytes : undefined });
      }
    }
  };
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    runLane(lane).catch((error) => {
      isOver = true;
      throw error;
    }));
  // The memory is theirs until the last of them has ended.
  for (const result of await Promise.allSettled(lanes)) {
    if (result.status === "rejected") throw result.reason;
  }
}

/** Each transfer is read into the memory at an address, and written from there. */
function callsOf(
  pid: number,
  { fd }: OwnedDescriptor,
  lot: readonly Transfer[],
  address: bigint,
): [calls: BatchCall[], kept: Uint8Array[]] {
  const kept: Uint8Array[] = [];
  const calls = lot.flatMap(({ runs, offset, size }): BatchCall[] => {
    const here = new Uint8Array(BigUint64Array.of(address, size).buffer);
    const there = iovecs(runs);
    kept.push(here, there);
    const from = address;
    address += size;
    return [
      { name: "process_vm_readv", args: [pid, here, 1, there, runs.length, 0] },
      { name: "pwrite64", args: [fd, from, size, offset] },
    ];
  });
  return [calls, kept];
}
