/**
 * Labels of security modules (SELinux, AppArmor, Smack): the files of `/proc/PID/attr`. A restored task has the
 * tool's, so it must have had that, and may not have asked for others for what it makes.
 *
 * @module
 */
import { taskPath, unlessGone } from "../../core/linux/procfs/mod.ts";
import type { SurveyContext } from "../../core/plugin.ts";

/** What the files beside `current` are the labels of (proc_pid_attr(5)). */
const MADE = {
  exec: "programs that it executes",
  fscreate: "files that it makes",
  keycreate: "keys that it makes",
  sockcreate: "sockets that it makes",
} as const;

/** Reads one of the files; empty where no security module has such a label, and of a task that has ended. */
export type LabelReader = (
  file: "current" | keyof typeof MADE,
  pid: number,
  tid?: number,
) => string;

/** {@link LabelReader} of this machine. */
export const readLabel: LabelReader = (file, pid, tid) => {
  try {
    return Deno.readTextFileSync(`${taskPath(pid, tid)}/attr/${file}`).replace(/[\0\n]+$/, "");
  } catch {
    // EINVAL: no security module has labels. A task that is gone is found by others.
    return "";
  }
};

/**
 * Reports labels that a restored task would not have.
 *
 * @param self the pid of this process
 */
export function surveyLabels(
  { tasks, frozen, problem }: Pick<SurveyContext, "frozen" | "problem"> & {
    readonly tasks: readonly { readonly pid: number; readonly threads: readonly number[] }[];
  },
  self: number,
  read: LabelReader = readLabel,
): void {
  const own = read("current", self);
  for (const task of tasks) {
    const { pid } = task;
    const label = read("current", pid);
    if (label === "") continue;
    if (label !== own) {
      problem({
        pid,
        what: `its security label "${label}" is not the one of this tool, "${own}"`,
        hint: "labels cannot be saved: run the tool under the label of the program",
      });
    }
    // Hardly any program has what follows: it is not worth the time in which the tree stands still.
    if (frozen) continue;
    for (const file of Object.keys(MADE) as (keyof typeof MADE)[]) {
      const wanted = read(file, pid);
      if (wanted === "") continue;
      const what = `it asks for the security label "${wanted}" for ${MADE[file]} (attr/${file})`;
      problem({ pid, what, hint: "labels cannot be saved" });
    }
    for (const tid of unlessGone(() => task.threads, []).slice(1)) {
      const other = read("current", pid, tid);
      if (other === label || other === "") continue;
      problem({ pid, tid, what: `it has the security label "${other}" of its own` });
    }
  }
}
