/**
 * The steps of an operation, as they are told: each just before it is done, with the calls that it makes in tasks.
 *
 * @module
 */
import type { EventListener } from "../../base/events.ts";
import { formatCall } from "./format_call.ts";
import type { SyscallProgram } from "./program.ts";

/** Is told a step, and the programs that run in it, which are looked at if somebody wants their calls. */
export type Tell = (text: string, programs?: readonly SyscallProgram[]) => void;

/** Tells steps to who listens to an operation. */
export function tellSteps(listener: EventListener): Tell {
  return (text, programs = []) => {
    const calls = () =>
      programs.flatMap(({ readonlyCalls }) => readonlyCalls.map((call) => formatCall(call)));
    listener({ kind: "step", text, calls });
  };
}
