/**
 * Where in a target's code its threads can make calls, and where they can wait.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type RemoteAddress, remoteAddress } from "../linux/address.ts";
import type { ProcessMemory } from "../linux/memory.ts";
import { SYSCALL_INSTRUCTION } from "../linux/x86_64/registers.ts";
import { findCallSite, findWaitingPlace } from "../linux/x86_64/waiting_code.ts";

/** A region of the target that holds code. */
export interface CodeRegion {
  readonly start: bigint;
  readonly end: bigint;
}

/** Places in a target's code. */
export interface CodePlaces {
  /** A `syscall` instruction; undefined if it has none. */
  readonly instruction?: RemoteAddress;
  /** Whether it is a call site (`core/linux/x86_64/waiting_code.ts`). */
  readonly returns: boolean;
  /** A jump to itself; undefined if it has none. */
  readonly waiting?: RemoteAddress;
}

/** How much is looked at in one piece, and by how much the pieces overlap, in bytes. */
const PIECE = 1 << 18, OVERLAP = 128n;

/** Looks through a target's code until everything is found. @param code best first (the vDSO) */
export function findCodePlaces(memory: ProcessMemory, code: Iterable<CodeRegion>): CodePlaces {
  let instruction: RemoteAddress | undefined;
  let site: RemoteAddress | undefined;
  let waiting: RemoteAddress | undefined;
  for (const { start, bytes } of pieces(memory, code)) {
    const place = (at: number) => at < 0 ? undefined : remoteAddress(start + BigInt(at));
    instruction ??= place(findInstruction(bytes));
    site ??= place(findCallSite(bytes));
    waiting ??= place(findWaitingPlace(bytes));
    if (site !== undefined && waiting !== undefined) break;
  }
  return { instruction: site ?? instruction, returns: site !== undefined, waiting };
}

function findInstruction(bytes: Uint8Array): number {
  let at = bytes.indexOf(SYSCALL_INSTRUCTION[0] as number);
  while (at >= 0 && bytes[at + 1] !== SYSCALL_INSTRUCTION[1]) {
    at = bytes.indexOf(SYSCALL_INSTRUCTION[0] as number, at + 1);
  }
  return at;
}

function* pieces(memory: ProcessMemory, code: Iterable<CodeRegion>) {
  for (const { start, end } of code) {
    for (let at = start; at < end; at += BigInt(PIECE)) {
      const rest = Number(end - at);
      const size = Math.min(rest, PIECE + Number(OVERLAP));
      const bytes = readOrNothing(memory, at, size);
      if (bytes !== undefined) yield { start: at, bytes };
    }
  }
}

/** Behind the end of the file that is mapped there is nothing to be read, or to be run. */
function readOrNothing(memory: ProcessMemory, at: bigint, size: number): Uint8Array | undefined {
  try {
    return memory.read(remoteAddress(at), size);
  } catch (error) {
    if (error instanceof StasisError && error.code === "syscall") return undefined;
    throw error;
  }
}
