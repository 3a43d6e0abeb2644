import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { thread_sas_entrySchema } from "../../images/gen/signals_pb.ts";
import { decodeAltstack, encodeAltstack, stackT } from "./altstack.ts";

const SS_ONSTACK = 1, SS_DISABLE = 2, SS_AUTODISARM = 0x80000000;

const roundTrip = (flags: number) =>
  decodeAltstack(
    create(
      thread_sas_entrySchema,
      encodeAltstack(stackT.make({ sp: 0x1000n, flags, size: 8192n })),
    ),
  );

Deno.test("decodeAltstack() sets a stack as it was, in use or not", () => {
  const stack = (flags: number) => stackT.make({ sp: 0x1000n, flags, size: 8192n });
  deepEqual(roundTrip(0), stack(0));
  deepEqual(roundTrip(SS_ONSTACK), stack(0));
  deepEqual(roundTrip(SS_AUTODISARM), stack(SS_AUTODISARM));
});

Deno.test("decodeAltstack() of a thread without one is nothing", () => {
  equal(roundTrip(SS_DISABLE), undefined);
});
