/**
 * Signal handlers between the kernel's form and the images'.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { sa_entry, sa_entrySchema } from "../../images/gen/signals_pb.ts";
import { kernelSigaction } from "../../core/linux/sigaction.ts";
import { SIG, SIGNAL_COUNT } from "../../core/linux/signals.ts";

/** The signals that have an entry in the image, in its order: all but those that cannot be handled. */
export const HANDLED_SIGNALS: readonly number[] = Array.from(
  { length: SIGNAL_COUNT },
  (_, index) => index + 1,
).filter((signal) => signal !== SIG.KILL && signal !== SIG.STOP);

/** The image's form of what rt_sigaction(2) told. */
export function encodeSigaction(bytes: Uint8Array): MessageInitShape<typeof sa_entrySchema> {
  const { handler, flags, restorer, mask } = kernelSigaction.read(bytes);
  return { sigaction: handler, flags, restorer, mask, compatSigaction: false };
}

/** What rt_sigaction(2) is to be told. */
export function decodeSigaction(entry: sa_entry): Uint8Array {
  const { sigaction, flags, restorer, mask } = entry;
  return kernelSigaction.make({ handler: sigaction, flags, restorer, mask });
}

/** Whether this is what a fresh process has: SIG_DFL and nothing else. */
export function isDefaultAction(entry: sa_entry): boolean {
  return entry.sigaction === 0n && entry.flags === 0n && entry.restorer === 0n && entry.mask === 0n;
}
