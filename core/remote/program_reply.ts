/**
 * What a syscall program has returned and written.
 *
 * @module
 */
import { formatResult } from "../linux/strace.ts";
import { formatCall } from "./format_call.ts";
import type { Call, CallResult, ScratchData, SyscallProgram } from "./program.ts";

/** What the calls of a program returned and wrote. */
export class ProgramReply {
  /** The program that ran. */
  readonly program: SyscallProgram;
  /** The index of the required call that failed, if one did. */
  readonly failed: number | undefined;
  readonly #resultOf: (index: number) => bigint | undefined;
  readonly #outputOf: (data: ScratchData) => Uint8Array | undefined;

  /**
   * @param resultOf tells what a call returned; undefined for one that did not run
   * @param outputOf tells what stands in output memory; undefined for what is none
   */
  constructor(
    program: SyscallProgram,
    resultOf: (index: number) => bigint | undefined,
    outputOf: (data: ScratchData) => Uint8Array | undefined,
    failed: number | undefined,
  ) {
    this.program = program;
    this.#resultOf = resultOf;
    this.#outputOf = outputOf;
    this.failed = failed;
  }

  /** What a call returned: 0 or more, or the negative errno. @throws {RangeError} if it did not run */
  result(call: CallResult): bigint {
    const result = this.#resultOf(call.index);
    if (result === undefined) throw new RangeError(`call ${call.index} of the program did not run`);
    return result;
  }

  /** What the calls left in a piece of output memory. */
  output(data: ScratchData): Uint8Array {
    const bytes = this.#outputOf(data);
    if (bytes === undefined) throw new RangeError("that memory is no output of this program");
    return bytes;
  }

  /** One call with its result, as strace would print it. */
  describe(index: number): string {
    const call = this.program.readonlyCalls[index] as Call;
    const result = this.#resultOf(index);
    return `${formatCall(call, this.#resultOf)} = ${
      result === undefined ? "?" : formatResult(result)
    }`;
  }
}
