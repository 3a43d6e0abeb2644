import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { task_rlimits_entrySchema } from "../../images/gen/thread_pb.ts";
import { readLimits, RLIM_INFINITY } from "../../core/linux/procfs/mod.ts";
import { decodeLimit, encodeLimits, limitsOutOfReach } from "./limits.ts";

const own = readLimits(Deno.pid);
const image = create(task_rlimits_entrySchema, encodeLimits(own)).rlimits;

Deno.test("decodeLimit() has soft before hard, infinity as all ones", () => {
  const bytes = decodeLimit(
    create(task_rlimits_entrySchema, { rlimits: [{ cur: 5n, max: RLIM_INFINITY }] }).rlimits[0]!,
  );
  deepEqual([...new BigUint64Array(bytes.buffer)], [5n, RLIM_INFINITY]);
});

Deno.test("limitsOutOfReach() finds hard limits above one's own, and no others", () => {
  deepEqual(limitsOutOfReach(image, own), []);
  const lower = own.map((one) => one.name === "RLIMIT_NOFILE" ? { ...one, hard: 1n } : one);
  deepEqual(limitsOutOfReach(image, lower).map(({ name }) => name), ["RLIMIT_NOFILE"]);
});

Deno.test("encodeLimits() gives the image that says the same, and none that says anything else", () => {
  const encoded = encodeLimits(own);
  equal(encodeLimits(own, encoded), encoded);
  const other = own.map((one) => one.name === "RLIMIT_CORE" ? { ...one, soft: 12345n } : one);
  deepEqual(encodeLimits(other, encoded), encodeLimits(other));
});
