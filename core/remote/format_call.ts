/**
 * The calls of a syscall program as strace would print them.
 *
 * @module
 */
import { argumentCount, formatArgument, formatString } from "../linux/strace.ts";
import { type Call, CallResult, ScratchData, ScratchInteger, ScratchPart } from "./program.ts";

/**
 * One call as strace would print it.
 *
 * @param resultOf tells the results of earlier calls, where they are known; otherwise they print as `$N`
 */
export function formatCall(
  call: Call,
  resultOf: (index: number) => bigint | undefined = () => undefined,
): string {
  const count = argumentCount(call.name) ?? call.args.length;
  const args = Array.from({ length: count }, (_, index) => {
    const argument = call.args[index] ?? 0;
    if (typeof argument === "string") return formatString(argument);
    if (typeof argument === "bigint" || typeof argument === "number") {
      return formatArgument(call.name, index, BigInt(argument));
    }
    if (argument instanceof CallResult) {
      const known = resultOf(argument.index);
      return known === undefined ? `$${argument.index}` : formatArgument(call.name, index, known);
    }
    if (argument instanceof ScratchInteger) {
      return `${describeData(argument.data)}[${argument.offset}]`;
    }
    if (argument instanceof ScratchPart) {
      return `${describeData(argument.data)}+${argument.offset}`;
    }
    return argument instanceof ScratchData
      ? describeData(argument)
      : `{${argument.byteLength} bytes}`;
  });
  return `${call.name}(${args.join(", ")})`;
}

function describeData(data: ScratchData): string {
  const note = data.note === "" ? `${data.bytes.byteLength} bytes` : data.note;
  return data.output ? `[${note}]` : `{${note}}`;
}
