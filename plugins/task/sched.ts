/**
 * Scheduling: `struct sched_attr` of sched_setattr(2) (`include/uapi/linux/sched/types.h`) and the images.
 * CRIU's image has policy, priority and nice; what else a thread may have is in this plugin's own.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { thread_core_entry } from "../../images/gen/thread_pb.ts";
import type { task_sched_entry, task_sched_entrySchema } from "../../images/gen/task_pb.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct sched_attr`, as Linux 5.3 and later have it; `runtime` is the slice of a normal thread from 6.12 on. */
export const schedAttr = defineStruct("sched_attr", 56, {
  size: [0, "u32"],
  policy: [4, "u32"],
  flags: [8, "u64"],
  nice: [16, "i32"],
  priority: [20, "u32"],
  runtime: [24, "u64"],
  deadline: [32, "u64"],
  period: [40, "u64"],
  utilMin: [48, "u32"],
  utilMax: [52, "u32"],
});

/** SCHED_* (`include/uapi/linux/sched.h`). */
export const SCHED = { NORMAL: 0, FIFO: 1, RR: 2, BATCH: 3, IDLE: 5, DEADLINE: 6 } as const;
/** In the policy of sched_setscheduler(2), and so in CRIU's images. */
const SCHED_RESET_ON_FORK = 0x40000000;
/** SCHED_FLAG_* of sched_setattr(2). */
const FLAG_RESET_ON_FORK = 1n, FLAG_UTIL_CLAMP = 0x60n;
/** SCHED_CAPACITY_SCALE: no clamp at all is 0 and this. */
const CAPACITY_SCALE = 1024;

type Attributes = ReturnType<typeof schedAttr.read>;

/** Whether a policy has a priority. */
function isRealTime(policy: number): boolean {
  return policy === SCHED.FIFO || policy === SCHED.RR;
}

/** The fields of the core image. @param nice the nice value, which real-time threads have too */
export function encodeSched({ policy, flags, priority }: Attributes, nice: number) {
  const reset = (flags & FLAG_RESET_ON_FORK) !== 0n ? SCHED_RESET_ON_FORK : 0;
  return {
    // CRIU knows no deadlines: for it, that plugin apart, such a thread is a normal one.
    schedPolicy: (policy === SCHED.DEADLINE ? SCHED.NORMAL : policy) | reset,
    schedPrio: isRealTime(policy) ? priority : undefined,
    schedNice: nice,
  };
}

/**
 * What CRIU's fields cannot say; undefined where they say it all.
 *
 * @param usualSlice the slice in nanoseconds that normal threads have which never asked for one; 0n where the
 *   kernel tells none (before 6.12)
 */
export function encodeSchedExtra(
  attributes: Attributes,
  usualSlice: bigint,
): MessageInitShape<typeof task_sched_entrySchema> | undefined {
  const { policy, flags, runtime, deadline, period, utilMin, utilMax } = attributes;
  if (policy === SCHED.DEADLINE) return { policy, flags, runtime, deadline, period };
  const clamped = utilMin !== 0 || (utilMax !== 0 && utilMax !== CAPACITY_SCALE);
  // An idle thread keeps the slice that it asked for when it was a normal one.
  const sliceable = isNormal(policy) || policy === SCHED.IDLE;
  const sliced = sliceable && runtime !== 0n && runtime !== usualSlice;
  if (!clamped && !sliced) return undefined;
  return {
    policy,
    flags: clamped ? flags | FLAG_UTIL_CLAMP : flags,
    ...(clamped ? { utilMin, utilMax } : {}),
    ...(sliced ? { runtime } : {}),
  };
}

/** Whether sched_setattr(2) takes a slice for a policy (fair_policy() of `kernel/sched/sched.h`). */
export function isNormal(policy: number): boolean {
  return policy === SCHED.NORMAL || policy === SCHED.BATCH;
}

/**
 * The slice of normal threads that never asked for one, in nanoseconds: that of the first process of this pid
 * namespace, which hardly ever does, or else of this one. 0n where the kernel tells none.
 */
export function readUsualSlice(): bigint {
  for (const pid of [1, 0]) {
    const bytes = new Uint8Array(schedAttr.size);
    if (isErrno(syscall(SYSCALLS.sched_getattr, pid, bytes, bytes.byteLength, 0))) continue;
    const { policy, runtime } = schedAttr.read(bytes);
    if (isNormal(policy)) return runtime;
  }
  return 0n;
}

/**
 * What sched_setattr(2) is to be told before {@link decodeSched}: an idle thread gets a slice as a normal one, for that
 * is the only kind that can ask for it. Undefined where there is nothing.
 */
export function decodeIdleSlice(extra: task_sched_entry | undefined): Uint8Array | undefined {
  if (extra?.policy !== SCHED.IDLE || extra.runtime === undefined) return undefined;
  return schedAttr.make({ size: schedAttr.size, runtime: extra.runtime });
}

/** What sched_setattr(2) is to be told. An image without the fields means a normal thread, as for CRIU. */
export function decodeSched(
  core: Pick<thread_core_entry, "schedPolicy" | "schedPrio" | "schedNice"> | undefined,
  extra: task_sched_entry | undefined,
): Uint8Array {
  const saved = core?.schedPolicy ?? 0;
  const policy = extra?.policy ?? saved & ~SCHED_RESET_ON_FORK;
  const reset = (saved & SCHED_RESET_ON_FORK) !== 0 ? FLAG_RESET_ON_FORK : 0n;
  return schedAttr.make({
    size: schedAttr.size,
    policy,
    flags: (extra?.flags ?? 0n) | reset,
    nice: core?.schedNice ?? 0,
    priority: isRealTime(policy) ? core?.schedPrio ?? 0 : 0,
    runtime: extra?.runtime ?? 0n,
    deadline: extra?.deadline ?? 0n,
    period: extra?.period ?? 0n,
    utilMin: extra?.utilMin ?? 0,
    utilMax: extra?.utilMax ?? 0,
  });
}
