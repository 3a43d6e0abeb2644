/**
 * Having the programs in a task look whether the tool lives, where the tool's death ends what lets them make calls:
 * a suspension of seccomp, or of dispatch by the kernel series; or where the signal that ends them is one that the target
 * catches, which would run its handler before it is as it was.
 *
 * @module
 */
import { lendDescriptor } from "../remote/send_descriptor.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import type { Tracee } from "../remote/tracee.ts";
import type { Rescuer } from "../remote/undo.ts";
import { PAGE_SIZE } from "../linux/address.ts";

const PROT_READ = 1;
const MAP_SHARED = 1, MAP_FIXED = 0x10;

/**
 * Maps the word that tells so into the task's scratch memory. One that has no room for a descriptor ends with the tool,
 * where its calls must.
 *
 * @param threads all threads of the task
 */
export function watchTracer(
  remote: RemoteTask,
  rescuer: Rescuer,
  threads: readonly Tracee[],
): void {
  using lent = lendDescriptor(remote, rescuer.aliveWord);
  if (lent === undefined) {
    for (const thread of threads) if (thread.needsTracer) thread.endWithTool(true);
    return;
  }
  const program = new SyscallProgram(`the word that tells task ${remote.pid} of its tracer`);
  const flags = MAP_SHARED | MAP_FIXED;
  program.call("mmap", remote.alivePage, PAGE_SIZE, PROT_READ, flags, lent.fd, 0);
  remote.run(program);
  remote.watchTracer();
}
