import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { thread_core_entrySchema } from "../../images/gen/thread_pb.ts";
import { task_sched_entrySchema } from "../../images/gen/task_pb.ts";
import {
  decodeIdleSlice,
  decodeSched,
  encodeSched,
  encodeSchedExtra,
  SCHED,
  schedAttr,
} from "./sched.ts";

/** In nanoseconds. */
const USUAL_SLICE = 1_400_000n;

function roundTrip(fields: Parameters<typeof schedAttr.make>[0], nice = 0) {
  const attributes = schedAttr.read(schedAttr.make(fields));
  const extra = encodeSchedExtra(attributes, USUAL_SLICE);
  const core = create(thread_core_entrySchema, {
    futexRla: 0n,
    futexRlaLen: 0,
    ...encodeSched(attributes, nice),
  });
  const bytes = decodeSched(core, extra && create(task_sched_entrySchema, extra));
  return { extra, attributes: schedAttr.read(bytes) };
}

Deno.test("decodeSched() gives back what sched_getattr() told of classic policies", () => {
  for (
    const [fields, nice] of [
      [{ policy: SCHED.NORMAL, nice: -5 }, -5],
      [{ policy: SCHED.BATCH, nice: 19, flags: 1n }, 19],
      [{ policy: SCHED.FIFO, priority: 50, flags: 1n }, 7],
    ] as const
  ) {
    const { extra, attributes } = roundTrip({ ...fields, utilMax: 1024 }, nice);
    equal(extra, undefined);
    deepEqual(attributes, schedAttr.read(schedAttr.make({ ...fields, nice, size: 56 })));
  }
});

Deno.test("encodeSched() has SCHED_RESET_ON_FORK in the policy, as CRIU does", () => {
  const attributes = schedAttr.read(schedAttr.make({ policy: SCHED.RR, priority: 1, flags: 1n }));
  equal(encodeSched(attributes, 0).schedPolicy, SCHED.RR | 0x40000000);
});

Deno.test("encodeSchedExtra() has deadlines and clamps, which CRIU's image cannot say", () => {
  const deadline = { runtime: 10n, deadline: 20n, period: 30n };
  const { attributes } = roundTrip({ policy: SCHED.DEADLINE, ...deadline });
  equal(attributes.policy, SCHED.DEADLINE);
  equal(attributes.period, 30n);
  const clamped = roundTrip({ utilMin: 100, utilMax: 512 });
  equal(clamped.attributes.utilMax, 512);
  equal(clamped.attributes.flags & 0x60n, 0x60n);
});

Deno.test("encodeSchedExtra() has a slice that a normal thread asked for, and not the usual one", () => {
  equal(roundTrip({ runtime: USUAL_SLICE }).extra, undefined);
  equal(roundTrip({ policy: SCHED.IDLE, runtime: USUAL_SLICE }).extra, undefined);
  const { extra, attributes } = roundTrip({
    policy: SCHED.BATCH,
    runtime: 5_000_000n,
    utilMax: 1024,
  }, 3);
  equal(attributes.runtime, 5_000_000n);
  equal(attributes.nice, 3);
  deepEqual(extra, { policy: SCHED.BATCH, flags: 0n, runtime: 5_000_000n });
});

Deno.test("decodeIdleSlice() is for idle threads that asked for a slice when they were normal ones", () => {
  const idle = roundTrip({ policy: SCHED.IDLE, runtime: 5_000_000n }).extra;
  const first = decodeIdleSlice(idle && create(task_sched_entrySchema, idle));
  deepEqual(
    first && schedAttr.read(first),
    schedAttr.read(schedAttr.make({
      size: 56,
      policy: SCHED.NORMAL,
      runtime: 5_000_000n,
    })),
  );
  const batch = roundTrip({ policy: SCHED.BATCH, runtime: 5_000_000n }).extra;
  equal(decodeIdleSlice(batch && create(task_sched_entrySchema, batch)), undefined);
  equal(decodeIdleSlice(undefined), undefined);
});

Deno.test("decodeSched() of an image without the fields is a normal thread", () => {
  deepEqual(decodeSched(undefined, undefined), schedAttr.make({ size: 56 }));
});
