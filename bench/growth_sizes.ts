/**
 * How large the things may become on a machine, and how many processes have to share them. Pure.
 *
 * @module
 */

/** What bounds the sizes, each as a number of things. */
export interface Limits {
  /** RLIMIT_NOFILE's hard limit. */
  readonly descriptors: number;
  /** `vm.max_map_count`. */
  readonly mappings: number;
  /** How many more tasks there may be: of pid_max, threads-max, RLIMIT_NPROC and the cgroup the least. */
  readonly tasks: number;
  /** Bytes of memory that are free. */
  readonly memory: number;
  /** Whether memory that nobody touches may be reserved beyond what there is (`vm.overcommit_memory`). */
  readonly overcommit: boolean;
}

/** What of the limits a kind of thing takes. */
export interface Appetite {
  /** Descriptors for each of them. */
  readonly descriptors?: number;
  /** Mappings for each of them. */
  readonly mappings?: number;
  /** Tasks for each of them. */
  readonly tasks?: number;
  /** Bytes of the kernel's and the program's memory for each of them, images included, about. */
  readonly memory: number;
  /** Whether one process must have them all, be it while the tree is built. */
  readonly isOne?: boolean;
  /** Whether each is a process. */
  readonly isProcess?: boolean;
  /** Whether it reserves memory that it does not touch. */
  readonly reserves?: boolean;
}

/** What is measured in place of what is wanted. */
export interface Fit {
  readonly size: number;
  readonly processes: number;
  /** Why it is less than wanted; absent where it is not. */
  readonly reason?: string;
}

/**
 * Of a process's descriptors this part is in use at most: while a tree is built, each of its files has a second
 * number beside its own.
 */
const DESCRIPTOR_SHARE = 0.45;
/** Of its mappings: the tool maps some for a while, and the loader has some. */
const MAPPING_SHARE = 0.9;
/** Of tasks and memory: there are others on the machine. */
const MACHINE_SHARE = 0.7;

/**
 * Fits a size into a machine.
 *
 * @param wanted how many things
 * @returns the largest size that is at most this; 0 where there can be none
 */
export function fit(wanted: number, appetite: Appetite, limits: Limits): Fit {
  if (appetite.reserves && !limits.overcommit) {
    return { size: 0, processes: 1, reason: "vm.overcommit_memory is 2" };
  }
  const each = (share: number, limit: number, part = 0) =>
    part === 0 ? Infinity : Math.floor(limit * share / part);
  const bounds: readonly (readonly [number, string])[] = [
    [each(MACHINE_SHARE, limits.tasks, appetite.tasks), "the number of tasks (kernel.pid_max?)"],
    [each(MACHINE_SHARE, limits.memory, appetite.memory), "the memory that is free"],
  ];
  const inOne: readonly (readonly [number, string])[] = [
    [
      each(DESCRIPTOR_SHARE, limits.descriptors, appetite.descriptors),
      "the hard limit of open files (ulimit -Hn)",
    ],
    [each(MAPPING_SHARE, limits.mappings, appetite.mappings), "vm.max_map_count"],
  ];
  const all = appetite.isOne ? [...bounds, ...inOne] : bounds;
  const [most, why] = all.reduce((a, b) => b[0] < a[0] ? b : a);
  const size = Math.min(wanted, most);
  const reason = size < wanted ? why : undefined;
  if (appetite.isProcess) return { size, processes: size, reason };
  const [perProcess] = inOne.reduce((a, b) => b[0] < a[0] ? b : a);
  const processes = appetite.isOne ? 1 : Math.max(1, Math.ceil(size / perProcess));
  // Each has as many as the others, and so at a tenth.
  const step = processes * 10;
  return { size: size < step ? size : size - size % step, processes, reason };
}
