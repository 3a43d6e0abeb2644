/**
 * The configuration of Syscall User Dispatch as the kernel hands it out and takes it. Pure.
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";

/** Modes of prctl(PR_SET_SYSCALL_USER_DISPATCH) (`include/uapi/linux/prctl.h`). */
export const SUD_MODE = {
  OFF: 0n,
  /** Calls from outside the range are dispatched. */
  EXCLUSIVE: 1n,
  /** Calls from inside the range are dispatched (Linux 6.17). */
  INCLUSIVE: 2n,
} as const;

/** `struct ptrace_sud_config` (`include/uapi/linux/ptrace.h`), also the answer of the series' prctl getter. */
export const sudConfig = defineStruct("ptrace_sud_config", 32, {
  mode: [0, "u64"],
  selector: [8, "u64"],
  offset: [16, "u64"],
  len: [24, "u64"],
});

/** A thread's configuration: mode, address of the selector byte (0 for none), range. */
export type SudConfig = ReturnType<typeof sudConfig.read>;

const WORD = 1n << 64n;

/**
 * The configuration that was set, of the one that the kernel hands out.
 *
 * The kernel knows one mode only: it stores the inclusive one as the exclusive mode of the complement of the
 * range, which wraps around, and hands that out (`kernel/entry/syscall_user_dispatch.c`). It does not
 * take it back in that form: an exclusive range may not wrap. So a wrapping one was an inclusive one.
 */
export function decodeConfig(raw: SudConfig): SudConfig {
  const wraps = raw.offset + raw.len >= WORD && raw.len !== 0n;
  if (raw.mode !== SUD_MODE.EXCLUSIVE || !wraps) return raw;
  return {
    mode: SUD_MODE.INCLUSIVE,
    selector: raw.selector,
    offset: BigInt.asUintN(64, raw.offset + raw.len),
    len: BigInt.asUintN(64, -raw.len),
  };
}

/** The configuration for people: `exclusive, selector 0x7f.., range 0x..-0x..`. */
export function describeConfig(config: SudConfig): string {
  const mode = config.mode === SUD_MODE.INCLUSIVE ? "inclusive" : "exclusive";
  const selector = config.selector === 0n
    ? "no selector"
    : `selector 0x${config.selector.toString(16)}`;
  const range = config.len === 0n
    ? "empty range"
    : `range 0x${config.offset.toString(16)}-0x${(config.offset + config.len).toString(16)}`;
  return `${mode}, ${selector}, ${range}`;
}
