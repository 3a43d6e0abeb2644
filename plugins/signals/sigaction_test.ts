import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { kernelSigaction } from "../../core/linux/sigaction.ts";
import { type sa_entry, sa_entrySchema } from "../../images/gen/signals_pb.ts";
import {
  decodeSigaction,
  encodeSigactions,
  HANDLED_SIGNALS,
  isDefaultAction,
} from "./sigaction.ts";

/** As rt_sigaction(2) tells them, of signals one after the other; the rest are as in a fresh process. */
function encode(...actions: readonly Uint8Array[]) {
  const bytes = new Uint8Array(HANDLED_SIGNALS.length * kernelSigaction.size);
  actions.forEach((action, index) => bytes.set(action, index * kernelSigaction.size));
  return encodeSigactions(bytes).map((entry) => create(sa_entrySchema, entry));
}

Deno.test("HANDLED_SIGNALS has the order of CRIU's images", () => {
  equal(HANDLED_SIGNALS.length, 62);
  deepEqual(HANDLED_SIGNALS.slice(6, 10), [7, 8, 10, 11]);
  deepEqual(HANDLED_SIGNALS.slice(16, 19), [18, 20, 21]);
  equal(HANDLED_SIGNALS.at(-1), 64);
});

Deno.test("decodeSigaction() gives back what encodeSigactions() got", () => {
  const bytes = kernelSigaction.make({
    handler: 0x401000n,
    flags: 0x1c000004n,
    restorer: 0x7fff00001000n,
    mask: (1n << 64n) - 1n,
  });
  const entries = encode(new Uint8Array(kernelSigaction.size), bytes);
  equal(entries.length, HANDLED_SIGNALS.length);
  deepEqual(entries.map(isDefaultAction).indexOf(false), 1);
  deepEqual(decodeSigaction(entries[1] as sa_entry), bytes);
});

Deno.test("isDefaultAction() does not take SIG_DFL with flags for nothing", () => {
  const SA_NOCLDWAIT = 2n;
  const [first, second] = encode(
    kernelSigaction.make({ flags: 0n }),
    kernelSigaction.make({ flags: SA_NOCLDWAIT }),
  );
  equal(isDefaultAction(first as sa_entry), true);
  equal(isDefaultAction(second as sa_entry), false);
});
