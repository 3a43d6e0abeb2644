/**
 * `/proc/PID/timens_offsets`: how far the clocks of a time namespace are ahead of the machine's. Source:
 * time_namespaces(7); kernel kernel/time/namespace.c.
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { joinNanoseconds } from "../../../images/time.ts";
import { malformed, readTaskText } from "./read.ts";

const SECOND = 1_000_000_000n;

/** How far clocks are ahead of those of the initial time namespace, in nanoseconds; negative: behind. */
export interface ClockOffsets {
  readonly monotonic: bigint;
  readonly boottime: bigint;
}

/** Those of the initial time namespace. */
export const NO_OFFSETS: ClockOffsets = { monotonic: 0n, boottime: 0n };

/** Parses the file: a line a clock, its name, seconds, and nanoseconds, which are never negative. */
export function parseClockOffsets(text: string): ClockOffsets {
  const offset = (clock: string): bigint => {
    const match = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(text);
    if (match === null) throw malformed("timens_offsets", text);
    return joinNanoseconds(BigInt(match[1]!), BigInt(match[2]!));
  };
  return { monotonic: offset("monotonic"), boottime: offset("boottime") };
}

/** What is written to the file of a task whose children are to have such clocks. */
export function formatClockOffsets(offsets: ClockOffsets): string {
  const line = (clock: string, offset: bigint) => {
    const nsec = (offset % SECOND + SECOND) % SECOND;
    return `${clock} ${(offset - nsec) / SECOND} ${nsec}\n`;
  };
  return line("monotonic", offsets.monotonic) + line("boottime", offsets.boottime);
}

/**
 * Reads what the clocks of a task's children are ahead: its own, unless it has left its time namespace
 * (`time_for_children` of namespaces.ts).
 *
 * @returns none where this kernel has no time namespaces
 * @throws {StasisError} `no-such-task`, `no-privilege`
 */
export function readClockOffsets(pid: number): ClockOffsets {
  try {
    return parseClockOffsets(readTaskText(pid, "timens_offsets"));
  } catch (error) {
    if (error instanceof StasisError && error.code === "kernel-too-old") return NO_OFFSETS;
    throw error;
  }
}
