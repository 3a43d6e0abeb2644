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

type SigactionImage = MessageInitShape<typeof sa_entrySchema>;

/** Thousands of processes have some sixty of these each. */
const DEFAULT_ACTION: SigactionImage = Object.freeze({
  sigaction: 0n,
  flags: 0n,
  restorer: 0n,
  mask: 0n,
  compatSigaction: false,
});

/** The image's form of what rt_sigaction(2) told of {@link HANDLED_SIGNALS}, one behind the other. */
export function encodeSigactions(bytes: Uint8Array): SigactionImage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return HANDLED_SIGNALS.map((_, index) => {
    const at = index * kernelSigaction.size;
    // Most are as in a fresh process, and every process has all of them.
    let some = 0;
    for (let word = 0; word < kernelSigaction.size; word += 4) some |= view.getInt32(at + word);
    if (some === 0) return DEFAULT_ACTION;
    const { handler, flags, restorer, mask } = kernelSigaction.read(bytes, at);
    return { sigaction: handler, flags, restorer, mask, compatSigaction: false };
  });
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
