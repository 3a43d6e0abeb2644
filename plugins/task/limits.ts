/**
 * Resource limits: `struct rlimit64` of prlimit(2). The image has 16 in the order of their numbers, infinity
 * as all ones, which is what the kernel has too.
 *
 * @module
 */
import type { rlimit_entry } from "../../images/gen/thread_pb.ts";
import type { ResourceLimit } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct rlimit64` (`include/uapi/linux/resource.h`). */
const rlimit64 = defineStruct("rlimit64", 16, { cur: [0, "u64"], max: [8, "u64"] });

/** Limits in the image's form. */
export interface LimitsImage {
  readonly rlimits: { readonly cur: bigint; readonly max: bigint }[];
}

/** @param same what is given where it says the same: all processes of a tree mostly have the same limits */
export function encodeLimits(limits: readonly ResourceLimit[], same?: LimitsImage): LimitsImage {
  const isSame = same?.rlimits.length === limits.length &&
    limits.every(({ soft, hard }, index) => {
      const { cur, max } = same.rlimits[index] as { cur: bigint; max: bigint };
      return soft === cur && hard === max;
    });
  if (isSame) return same as LimitsImage;
  return { rlimits: limits.map(({ soft, hard }) => ({ cur: soft, max: hard })) };
}

/** What prlimit(2) is to be told. */
export function decodeLimit({ cur, max }: rlimit_entry): Uint8Array {
  return rlimit64.make({ cur, max });
}

/**
 * The limits of an image that this process may not give: hard limits above its own.
 *
 * @param own the limits of this process
 */
export function limitsOutOfReach(
  limits: readonly rlimit_entry[],
  own: readonly ResourceLimit[],
): ResourceLimit[] {
  return own.filter(({ resource, hard }) => (limits[resource]?.max ?? 0n) > hard);
}
