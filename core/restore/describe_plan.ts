/**
 * A restore plan as strace would print it.
 *
 * @module
 */
import { STAGES } from "../plugin.ts";
import { formatCall } from "../remote/format_call.ts";
import type { SyscallProgram } from "../remote/program.ts";
import type { BirthAction, BirthPlan } from "./births.ts";
import { openDead } from "./dead_tasks.ts";
import { type EndedPidfd, keepPidfds } from "./ended_pidfds.ts";
import type { DeadTaskFile } from "./ghosts.ts";
import { leaderEnd } from "./leader_end.ts";
import { INIT } from "./pid_namespace.ts";
import type { LastName, ServiceFile } from "./plan_files.ts";
import type { EndedLeader, PlannedTask } from "./planned_task.ts";
import type { TemporaryNames } from "./temporary_names.ts";

/** What of a plan is printed. */
export interface DescribedPlan {
  readonly pid: number;
  readonly isApart: boolean;
  readonly births: BirthPlan;
  readonly tasks: readonly PlannedTask[];
  readonly names: TemporaryNames;
  readonly seed: SyscallProgram;
  readonly birthplace: SyscallProgram;
  readonly deadTasks: ReadonlyMap<number, readonly DeadTaskFile[]>;
  readonly ended: ReadonlyMap<string, readonly EndedPidfd[]>;
  readonly linkRemaps: ReadonlyMap<string, unknown>;
  readonly serviceFiles: readonly ServiceFile[];
  readonly privateDirectories: ReadonlyMap<string, number>;
  readonly lastNames: readonly LastName[];
  beforeAction(pid: number, action: BirthAction): SyscallProgram | undefined;
  afterAction(pid: number, action: BirthAction): SyscallProgram | undefined;
}

/** The plan as strace would print it: one line a call, under headings of stage and task. */
export function* describePlan(plan: DescribedPlan): Generator<string> {
  for (const file of plan.serviceFiles) {
    const what = file.path === undefined ? `descriptor ${file.descriptor}` : file.path;
    yield `# descriptor ${file.number} is ${what} of the tool`;
  }
  for (const [parent, number] of plan.privateDirectories) {
    yield `# descriptor ${number} is a new directory in ${parent}`;
  }
  if (!plan.names.program.isEmpty) {
    yield "# names";
    yield* programLines(plan.names.program);
  }
  for (const pidfds of plan.ended.values()) {
    yield "clone3({}), which ends";
    yield* programLines(keepPidfds(0, pidfds));
  }
  if (!plan.seed.isEmpty) {
    yield "# seed";
    yield* programLines(plan.seed);
  }
  if (!plan.birthplace.isEmpty) {
    yield "# namespaces";
    yield* programLines(plan.birthplace);
  }
  if (plan.isApart && plan.pid !== INIT) yield `clone3({set_tid=${INIT}}), the init`;
  for (const [pid, files] of plan.deadTasks) {
    yield `clone3({set_tid=${pid}}), which ends`;
    yield* programLines(openDead(pid, files));
  }
  const { births, groups, helpers } = plan.births;
  for (const [pid, actions] of births) {
    for (const action of actions) {
      const before = plan.beforeAction(pid, action);
      if (before !== undefined) yield* programLines(before, pid);
      yield `[${pid}] ${describeBirth(action)}`;
      const after = plan.afterAction(pid, action);
      if (after !== undefined) yield* programLines(after, pid);
    }
  }
  for (const [pid, action] of groups) yield `[${pid}] ${describeBirth(action)}`;
  for (const { pid, adopter } of helpers) {
    yield `[${pid}] exit_group(0)${adopter === undefined ? "" : `, and ${adopter} adopts`}`;
  }
  for (const stage of STAGES.slice(1)) {
    for (const task of plan.tasks) {
      if (stage === "seccomp_all" && task.ended !== undefined) yield* leaderLines(task.ended);
      const threads = stage === "signals" ? task.threads : task.allThreads;
      for (const thread of threads) {
        const program = thread.planned(stage);
        if (program === undefined) continue;
        yield `# ${stage}`;
        yield* programLines(program, thread.tid);
      }
    }
  }
  for (const { parent, inside, path } of plan.lastNames) {
    const from = plan.privateDirectories.get(parent) as number;
    yield `renameat2(${from}, "${inside}", AT_FDCWD, "${path}", 0)`;
  }
  for (const task of plan.tasks) {
    for (const { tid } of task.threads) yield `[${tid}] registers, signal mask, run`;
  }
  for (const path of plan.linkRemaps.keys()) yield `unlink("${path}")`;
}

function* leaderLines({ thread, status }: EndedLeader): Generator<string> {
  const program = thread.planned("signals");
  if (program !== undefined) {
    yield "# signals";
    yield* programLines(program, thread.tid);
  }
  yield* programLines(leaderEnd(thread.core, status), thread.tid);
}

function* programLines(program: SyscallProgram, tid?: number): Generator<string> {
  const prefix = tid === undefined ? "" : `[${tid}] `;
  for (const call of program.readonlyCalls) yield prefix + formatCall(call);
}

function describeBirth(action: BirthAction): string {
  switch (action.kind) {
    case "clone":
      return `clone3({set_tid=${action.pid}${action.sibling ? ", CLONE_PARENT" : ""}${
        action.exitSignal === undefined ? "" : `, exit_signal=${action.exitSignal}`
      }})`;
    case "setsid":
      return "setsid()";
    case "setpgid":
      return `setpgid(0, ${action.pgid})`;
    case "follow":
      return `setpgid(0, getpgid(${action.pid}))`;
  }
}
