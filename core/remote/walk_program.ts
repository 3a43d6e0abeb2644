/**
 * Walking a syscall program from outside: what the machine code of `x86_64/program_code.ts` does in a thread, done by
 * somebody who makes its calls one by one.
 *
 * @module
 */
import { isErrno } from "../linux/errno.ts";
import { type RemoteAddress, remoteAddress } from "../linux/address.ts";
import {
  ENTRY_ARGUMENTS,
  ENTRY_RESULT,
  ENTRY_SIZE,
  OPERATION_BELOW,
  OPERATION_COPY,
  OPERATION_END,
  OPERATION_JUMP,
  OPERATION_REQUIRED,
  OPERATION_UNLESS,
  TAIL_STOPPED,
} from "../linux/x86_64/program_code.ts";

/** The memory in which a program lies. */
export interface ProgramMemory {
  read(address: RemoteAddress, size: number): Uint8Array;
  write(address: RemoteAddress, bytes: Uint8Array): void;
}

/**
 * Walks a program to its end.
 *
 * @param entries the address of its first entry
 * @param tail the address of its tail
 * @param call makes a call: the result, or the negative errno
 */
export function walkProgram(
  memory: ProgramMemory,
  { entries, tail }: { readonly entries: bigint; readonly tail: bigint },
  call: (number: bigint, args: readonly bigint[]) => bigint,
): void {
  const words = (address: bigint, count: number) =>
    new BigInt64Array(memory.read(remoteAddress(address), count * 8).slice().buffer);
  const word = (address: bigint) => words(address, 1)[0] as bigint;
  const setWord = (address: bigint, value: bigint) =>
    memory.write(remoteAddress(address), new Uint8Array(BigInt64Array.of(value).buffer));
  for (let entry = entries;;) {
    const [operation = 0n, ...args] = words(entry, ENTRY_ARGUMENTS / 8 + 6);
    const [first = 0n, second = 0n, third = 0n] = args;
    let next = entry + BigInt(ENTRY_SIZE);
    if (operation >= 0n) {
      const result = call(operation & 0xffff_ffffn, args);
      setWord(entry + BigInt(ENTRY_RESULT), result);
      if ((operation & OPERATION_REQUIRED) !== 0n && isErrno(result)) {
        return setWord(tail + BigInt(TAIL_STOPPED), entry);
      }
    } else {
      switch (BigInt.asUintN(64, operation)) {
        case OPERATION_COPY:
          setWord(first, third === 8n ? word(second) : BigInt.asUintN(32, word(second)));
          break;
        case OPERATION_JUMP:
          next = first;
          break;
        case OPERATION_UNLESS:
          if (word(first) !== second) next = third;
          break;
        case OPERATION_BELOW:
          if (word(first) < second) next = third;
          break;
        case OPERATION_END:
        default:
          return setWord(tail + BigInt(TAIL_STOPPED), entry);
      }
    }
    entry = next;
  }
}
