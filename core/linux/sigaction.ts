/**
 * `struct sigaction` as rt_sigaction(2) takes it on x86-64 (`include/linux/signal_types.h`).
 *
 * @module
 */
import { defineStruct } from "./struct.ts";

/** `struct sigaction` of the kernel; libc's own is another. */
export const kernelSigaction = defineStruct("sigaction", 32, {
  handler: [0, "u64"],
  flags: [8, "u64"],
  restorer: [16, "u64"],
  mask: [24, "u64"],
});

/** The size of the kernel's signal set in bytes, which every rt_* call wants to be told. */
export const SIGSET_SIZE = 8;
