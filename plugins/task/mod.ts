/**
 * What a task is besides its memory, descriptors, signals and rights: its name, limits, scheduling,
 * directories and a number of small settings.
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | name of each thread | injected prctl(PR_GET_NAME) | `tc.comm`, `thread_core.comm` | prctl(PR_SET_NAME) |
 * | personality | injected personality(2) | `tc.personality` | personality(2), after the memory, since READ_IMPLIES_EXEC changes what mmap(2) does |
 * | scheduling policy, priority, nice | injected sched_getattr(2), getpriority(2) | `thread_core.sched_*` | sched_setattr(2) |
 * | deadlines, utilisation clamps, slices | the same | `task.img` | the same |
 * | CPU affinity, timer slack, I/O priority, speculation controls | injected calls | `task.img` | calls of each thread |
 * | resource limits | /proc/PID/limits | `tc.rlimits` | prlimit(2) |
 * | OOM score adjustment, login uid | /proc/PID | `tc.oom_score_adj`, `tc.loginuid` | written to /proc/self |
 * | core dump filter, nice value of a session | /proc/PID | `task.img` | /proc/self |
 * | faulting instructions, errors in memory, keys, I/O flushers, futex hash, AMX | injected calls, see `settings.ts` | `task.img` | the same calls |
 * | NUMA policy | injected get_mempolicy(2) | `task.img` | set_mempolicy(2) |
 * | child subreaper, membarrier(2) registrations | injected calls | `tc` | the same calls |
 * | working directory, root, umask | /proc/PID | `fs-PID.img` | fchdir(2), chroot(2), umask(2) |
 *
 * `task.img` is written only where a value is not the kernel's default, so that CRIU can restore everything
 * else; with it, this plugin's name is in the inventory.
 *
 * A restored task inherits the tool's values of all of these, so each is set even if it is the default. Root
 * and limits come in the close stage: until then paths are the tool's, and nobody runs out of descriptors.
 *
 * Refused: other namespaces than the tool's (but for that of control groups, which is the business of another plugin),
 * directories that have no path any more, tagged pointers, tracers. What a restored task will not have the user is told
 * of, see `unsaved.ts`.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { dumpTasks } from "./dump.ts";
import { TASK_EXTRA } from "./image.ts";
import { restoreTasks } from "./restore.ts";

/** The plugin. */
export const task: Plugin = definePlugin({
  name: "task",
  description: "names, limits, scheduling, working directory, root, settings",
  images: [TASK_EXTRA],
  checkpoint: dumpTasks,
  restore: restoreTasks,
});
