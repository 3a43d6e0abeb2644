/**
 * What ptrace(2) and get_robust_list(2) tell of each of many threads beside the general registers: extended registers,
 * TLS entries, whether there are I/O ports, the robust futex list.
 *
 * @module
 */
import { Errno } from "../../core/linux/errno.ts";
import { NT, PTRACE } from "../../core/linux/ptrace.ts";
import { ptraceOfEach } from "../../core/linux/ptrace_many.ts";
import { onceNeeded, Own, Sweep, TID } from "../../core/linux/sweep.ts";
import { TLS_ENTRIES, userDesc } from "./tls.ts";

/** Room for every xsave area of today (AMX needs 11 KiB). */
export const XSTATE_LIMIT = 16384;
/** Takes the number of an entry and a `struct user_desc` (`arch/x86/include/asm/ptrace-abi.h`). */
export const PTRACE_GET_THREAD_AREA = 25n;

/** A thread's robust futex list. */
export interface RobustList {
  readonly head: bigint;
  /** In bytes. */
  readonly size: number;
}

/** What was told of a thread, until the next one is looked at; what is undefined is to be asked for by itself. */
export interface Extended {
  /** As PTRACE_GETREGSET gives them. */
  readonly xstate: Uint8Array | undefined;
  /** Whether it may use I/O ports (ioperm(2)). */
  readonly hasPorts: boolean | undefined;
  readonly robustList: RobustList | undefined;
  /** Of {@link TLS_ENTRIES}, each a `struct user_desc`. */
  readonly tls: readonly (Uint8Array | undefined)[];
}

/** Where everything stands in a thread's own memory, in bytes; an iovec has an address and a length. */
const XSTATE_VECTOR = 0, PORTS_VECTOR = 16, PORTS = 32, ROBUST = 40, TLS = 56, XSTATE = 112;
/** Which of the calls is which. */
const CALL = { XSTATE: 0, PORTS: 1, ROBUST: 2, TLS: 3 } as const;

const reading = onceNeeded(() =>
  new Sweep([
    ptraceOfEach(PTRACE.GETREGSET, NT.X86_XSTATE, new Own(XSTATE_VECTOR)),
    ptraceOfEach(PTRACE.GETREGSET, NT.IOPERM, new Own(PORTS_VECTOR)),
    { name: "get_robust_list", args: [TID, new Own(ROBUST), new Own(ROBUST + 8)] },
    ...TLS_ENTRIES.map((entry, index) =>
      ptraceOfEach(PTRACE_GET_THREAD_AREA, entry, new Own(TLS + index * userDesc.size))
    ),
  ], XSTATE + XSTATE_LIMIT)
);

/** Asks threads that stand still. @param look is told of each, in their order */
export function readExtended(
  tids: readonly number[],
  look: (told: Extended, index: number) => void,
): void {
  reading().run(tids, {
    fill(_, words, __, address) {
      words[XSTATE_VECTOR / 8] = address + BigInt(XSTATE);
      words[XSTATE_VECTOR / 8 + 1] = BigInt(XSTATE_LIMIT);
      words[PORTS_VECTOR / 8] = address + BigInt(PORTS);
      words[PORTS_VECTOR / 8 + 1] = 8n;
    },
    look(_, { result, own, words }, index) {
      const length = Number(words[XSTATE_VECTOR / 8 + 1]);
      // ENXIO says that it has none; what else there may be is a matter of the kernel.
      const ports = result(CALL.PORTS);
      look({
        xstate: result(CALL.XSTATE) === 0 ? own.subarray(XSTATE, XSTATE + length) : undefined,
        hasPorts: ports === -Errno.ENXIO ? false : undefined,
        robustList: result(CALL.ROBUST) === 0
          ? { head: words[ROBUST / 8] as bigint, size: Number(words[ROBUST / 8 + 1]) }
          : undefined,
        tls: TLS_ENTRIES.map((_, entry) => {
          const at = TLS + entry * userDesc.size;
          return result(CALL.TLS + entry) === 0 ? own.subarray(at, at + userDesc.size) : undefined;
        }),
      }, index);
    },
  });
}
