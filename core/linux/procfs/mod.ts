/**
 * Readers of `/proc`: one file of the kernel's is one file here, with a pure parser and a thin reader.
 *
 * A reader throws StasisError `no-such-task` if the task is gone and `no-privilege` if it may not be
 * looked at; what a zombie or a kernel thread has no more reads as empty.
 *
 * @module
 */

export * from "./attributes.ts";
export * from "./auxv.ts";
export * from "./cgroup.ts";
export * from "./children.ts";
export * from "./clock_offsets.ts";
export * from "./cmdline.ts";
export * from "./comm.ts";
export * from "./descriptors.ts";
export * from "./fd.ts";
export * from "./fdinfo.ts";
export * from "./kernel.ts";
export * from "./limits.ts";
export * from "./locks.ts";
export * from "./maps.ts";
export * from "./mountinfo.ts";
export * from "./namespaces.ts";
export * from "./own_proc.ts";
export * from "./pagemap.ts";
export * from "./personality.ts";
export {
  errnoOf,
  readTaskLink,
  statTaskLink,
  taskError,
  taskExists,
  taskPath,
  unlessGone,
} from "./read.ts";
export * from "./known_flags.ts";
export * from "./smaps.ts";
export * from "./stat.ts";
export * from "./status.ts";
export * from "./syscall.ts";
export * from "./sysvipc.ts";
export * from "./tasks.ts";
export * from "./timer_list.ts";
export * from "./timers.ts";
export {
  type DeviceNumber,
  type Mapping,
  type MappingKind,
  mappingKind,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "./vma_line.ts";
