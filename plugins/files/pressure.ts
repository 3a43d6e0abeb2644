/**
 * Files by which a program is told of pressure: it writes a trigger to one, and polls it. The kernel shows triggers
 * nowhere, and they end with the open file (psi_trigger_create() of `kernel/sched/psi.c`).
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { isOnFileSystem } from "../../core/checkpoint/file_location.ts";
import { O } from "../../core/linux/fcntl.ts";

/** `f_type` of cgroup v2, and of `/proc` (`include/uapi/linux/magic.h`). */
const CGROUP2_MAGIC = 0x63677270n, PROC_MAGIC = 0x9fa0n;
/** The files of a control group, and those of the whole machine. */
const OF_GROUP = /\/(cpu|memory|io|irq)\.pressure$/,
  OF_MACHINE = /\/pressure\/(cpu|memory|io|irq)$/;

/** Says that a file may have a trigger: it could be written to. */
export function pressureProblem(
  descriptor: Descriptor,
): Omit<Problem, "plugin" | "pid"> | undefined {
  const { fd, info, link } = descriptor;
  if ((info.flags & O.ACCMODE) === O.RDONLY || (info.flags & O.PATH) !== 0) return undefined;
  const isTrigger = OF_GROUP.test(link.text) && isOnFileSystem(descriptor, CGROUP2_MAGIC) ||
    OF_MACHINE.test(link.text) && isOnFileSystem(descriptor, PROC_MAGIC);
  if (!isTrigger) return undefined;
  return {
    what: `its descriptor ${fd} (${link.text}) may have a trigger of pressure (PSI), which is lost`,
    hint: "nothing tells of such triggers: close it before the checkpoint",
  };
}
