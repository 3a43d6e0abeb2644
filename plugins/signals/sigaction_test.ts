import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { kernelSigaction } from "../../core/linux/sigaction.ts";
import { sa_entrySchema } from "../../images/gen/signals_pb.ts";
import { decodeSigaction, encodeSigaction, HANDLED_SIGNALS, isDefaultAction } from "./sigaction.ts";

Deno.test("HANDLED_SIGNALS has the order of CRIU's images", () => {
  equal(HANDLED_SIGNALS.length, 62);
  deepEqual(HANDLED_SIGNALS.slice(6, 10), [7, 8, 10, 11]);
  deepEqual(HANDLED_SIGNALS.slice(16, 19), [18, 20, 21]);
  equal(HANDLED_SIGNALS.at(-1), 64);
});

Deno.test("decodeSigaction() gives back what encodeSigaction() got", () => {
  const bytes = kernelSigaction.make({
    handler: 0x401000n,
    flags: 0x1c000004n,
    restorer: 0x7fff00001000n,
    mask: (1n << 64n) - 1n,
  });
  deepEqual(decodeSigaction(create(sa_entrySchema, encodeSigaction(bytes))), bytes);
});

Deno.test("isDefaultAction() does not take SIG_DFL with flags for nothing", () => {
  const SA_NOCLDWAIT = 2n;
  const entry = (flags: bigint) =>
    create(sa_entrySchema, encodeSigaction(kernelSigaction.make({ flags })));
  equal(isDefaultAction(entry(0n)), true);
  equal(isDefaultAction(entry(SA_NOCLDWAIT)), false);
});
