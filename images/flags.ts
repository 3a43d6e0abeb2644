/**
 * Numbers whose meaning belongs to the image format and not to the kernel: states of tasks and mappings.
 *
 * @module
 */

/** `task_core_entry.task_state` (CRIU's compel/include/uapi/task-state.h). */
export const TASK_ALIVE = 0x01;
/** A zombie; `exit_code` is its wait status. */
export const TASK_DEAD = 0x02;
/** Stopped by a signal; `stop_signo` says by which. */
export const TASK_STOPPED = 0x03;
/** `exit_code` of a task that goes on again, which its parent has not been told: WCONTINUED's wait status. */
export const CONTINUED_STATUS = 0xffff;

/** `vma_entry.status` (CRIU's criu/include/image.h). An ordinary area, restored as it was. */
export const VMA_AREA_REGULAR = 1 << 0;
/** The stack of the first thread: grows down. */
export const VMA_AREA_STACK = 1 << 1;
/** The vsyscall page: the same in every process, never restored. */
export const VMA_AREA_VSYSCALL = 1 << 2;
/** The vDSO. */
export const VMA_AREA_VDSO = 1 << 3;
/** The heap (brk). */
export const VMA_AREA_HEAP = 1 << 5;
/** A private mapping of a file. */
export const VMA_FILE_PRIVATE = 1 << 6;
/** A shared mapping of a file. */
export const VMA_FILE_SHARED = 1 << 7;
/** Shared anonymous memory; `shmid` says which. */
export const VMA_ANON_SHARED = 1 << 8;
/** Private anonymous memory. */
export const VMA_ANON_PRIVATE = 1 << 9;
/** System V shared memory. */
export const VMA_AREA_SYSVIPC = 1 << 10;
/** A mapping of a packet socket. */
export const VMA_AREA_SOCKET = 1 << 11;
/** The pages that the vDSO reads the time from. */
export const VMA_AREA_VVAR = 1 << 12;
/** A ring of io_setup(2). */
export const VMA_AREA_AIORING = 1 << 13;
/** A mapping of a memfd. */
export const VMA_AREA_MEMFD = 1 << 14;
/** A shadow stack. */
export const VMA_AREA_SHSTK = 1 << 15;
/** No mapping but a range with guards of MADV_GUARD_INSTALL. */
export const VMA_AREA_GUARD = 1 << 16;
/** The kernel's page for uprobes. */
export const VMA_AREA_UPROBES = 1 << 17;
/** The mapping belongs to a plugin. */
export const VMA_EXT_PLUGIN = 1 << 27;
