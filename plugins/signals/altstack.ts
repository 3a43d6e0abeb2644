/**
 * Alternate signal stacks: `stack_t` of sigaltstack(2) (`include/uapi/asm-generic/signal.h`) and the image's
 * `thread_sas_entry`.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { thread_sas_entry, thread_sas_entrySchema } from "../../images/gen/signals_pb.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `stack_t`. */
export const stackT = defineStruct("stack_t", 24, {
  sp: [0, "u64"],
  flags: [8, "u32"],
  size: [16, "u64"],
});

/** The thread runs on it just now: told by the kernel, no setting. */
const SS_ONSTACK = 1;
/** There is none. */
const SS_DISABLE = 2;

/**
 * The image's form. SS_ONSTACK is left out: the stack pointer says it, and sigaltstack(2) takes it for
 * "enabled" only for the sake of old programs.
 */
export function encodeAltstack(bytes: Uint8Array): MessageInitShape<typeof thread_sas_entrySchema> {
  const { sp, flags, size } = stackT.read(bytes);
  return { ssSp: sp, ssFlags: (flags & ~SS_ONSTACK) >>> 0, ssSize: size };
}

/** What sigaltstack(2) is to be told; undefined where there is no alternate stack. */
export function decodeAltstack(entry: thread_sas_entry): Uint8Array | undefined {
  const flags = (entry.ssFlags & ~SS_ONSTACK) >>> 0;
  if ((flags & SS_DISABLE) !== 0) return undefined;
  return stackT.make({ sp: entry.ssSp, flags, size: entry.ssSize });
}
