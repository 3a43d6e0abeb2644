/**
 * CPU affinity: masks of sched_setaffinity(2), and which one is the default.
 *
 * @module
 */
import { syscall } from "../../core/linux/libc_ffi.ts";
import { parseIdList, readStatus } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/** The size of the masks in bytes: room for 8192 CPUs, the most that x86-64 kernels are built for. */
export const MASK_SIZE = 1024;

/** How much of such a mask this kernel has, in bytes. */
export function readMaskSize(): number {
  const size = Number(syscall(SYSCALLS.sched_getaffinity, 0, MASK_SIZE, new Uint8Array(MASK_SIZE)));
  return size > 0 ? size : MASK_SIZE;
}

/** The CPUs of a mask, ascending. @param bytes as sched_getaffinity(2) gives it */
export function cpusOf(bytes: Uint8Array): number[] {
  const cpus: number[] = [];
  bytes.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit & 1) === 1) cpus.push(index * 8 + bit);
  });
  return cpus;
}

/** The mask of some CPUs. */
export function maskOf(cpus: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(MASK_SIZE);
  for (const cpu of cpus) {
    const index = cpu >> 3;
    bytes[index] = (bytes[index] ?? 0) | 1 << (cpu & 7);
  }
  return bytes;
}

/** The mask that stands for "no restriction": the kernel cuts it down to what the cpuset has. */
export const ALL_CPUS: Uint8Array = new Uint8Array(MASK_SIZE).fill(0xff);

/**
 * Tells a restriction from the default. The default is every CPU of the cpuset: all that are online, or what
 * the first process of this pid namespace may use.
 */
export function isDefaultAffinity(cpus: readonly number[], defaults: AffinityDefaults): boolean {
  const allowed = new Set(cpus);
  return [defaults.online, defaults.init].some((all) =>
    all.length > 0 && all.every((cpu) => allowed.has(cpu))
  );
}

/** What {@link isDefaultAffinity} compares with. */
export interface AffinityDefaults {
  readonly online: readonly number[];
  readonly init: readonly number[];
}

/** Reads them from this machine. */
export function readAffinityDefaults(): AffinityDefaults {
  return {
    online: read(() => parseIdList(Deno.readTextFileSync("/sys/devices/system/cpu/online"))),
    init: read(() => readStatus(1).cpusAllowed),
  };
}

function read(list: () => readonly number[]): readonly number[] {
  try {
    return list();
  } catch {
    // Without sysfs, or without the right to see process 1, the other one decides.
    return [];
  }
}
