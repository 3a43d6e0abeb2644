/**
 * Seccomp: strict mode, and the chain of filters of every thread.
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | filters, each with LOG | PTRACE_SECCOMP_GET_FILTER, _GET_METADATA | `seccomp.img`, `thread_core.seccomp_filter` | seccomp(SECCOMP_SET_MODE_FILTER) |
 * | SPEC_ALLOW | its effect, see `speculation.ts` | the same | the same |
 * | strict mode | injected prctl(PR_GET_SECCOMP) | `thread_core.seccomp_mode` | prctl(PR_SET_SECCOMP) |
 *
 * no_new_privs is the credentials plugin's. The images are CRIU's (`chain.ts`), and CRIU restores them.
 *
 * Both in a target and in a task that is being built PTRACE_O_SUSPEND_SECCOMP is on for as long as calls are
 * injected, so a filter may forbid any of them. That decides the order: filters are installed *before*
 * the credentials, as this takes CAP_SYS_ADMIN or no_new_privs, which the thread may have had when it installed
 * them and has no more; suspended, they do not matter to the calls that follow. In a target seccomp is suspended
 * before SUD (one of whose ways tries a call), and so is in force again after it.
 *
 * ## What is rebuilt how
 *
 * The kernel does not tell which threads share a filter, only what each thread's filters are. Sharing
 * shows in memory use, and in one thing more: SECCOMP_FILTER_FLAG_TSYNC works if the filters of all other
 * threads of the process are among the caller's own, the very same objects. So the filters that the chains
 * of all threads of a process begin with are installed once, by the leader with TSYNC, and what a thread has
 * beyond them by itself: whatever TSYNC made, and whatever the leader had installed before it made its threads,
 * can be synchronised again. Threads that have filters in common which others of the process do not have
 * get filters of their own each; a later TSYNC among those fails where it would not have. Filters inherited
 * across fork(2) are installed in every process anew: processes cannot be synchronised, so none can tell.
 *
 * ## If the tool is killed
 *
 * The suspension is a ptrace option, and the kernel forgets a tracee's options when its tracer ends, however
 * that ends (`exit_ptrace()`, `__ptrace_unlink()`). No instruction of the target's own code runs before: until
 * then its threads stand still, wait (`Tracee.park()`) or run injected calls, and afterwards they wait until the
 * guardian has put them back. Programs in them look before each call whether the tool lives
 * (`Tracee.needsTracer`), since with it the filters are in force again. A tree that is being restored dies with
 * the tool in any case.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { StasisError } from "../../base/errors.ts";
import { setRegisters } from "../../core/linux/ptrace.ts";
import { readStatus } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type FrozenTree,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
  type StoppedThread,
  type SurveyContext,
  type TaskPlanner,
} from "../../core/plugin.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { SECCOMP } from "../../images/kinds/seccomp.ts";
import { present } from "../../images/present.ts";
import { missingPrivilege, ownInability, suspend, suspendAll } from "./ability.ts";
import { decodeFilter, type Instruction, notifies } from "./bpf.ts";
import {
  ChainWriter,
  type Filter,
  FILTER_FLAG,
  type FilterImage,
  FilterPool,
  readTask,
  SECCOMP_MODE,
  type ThreadSeccomp,
} from "./chain.ts";
import { seccompFeatures } from "./features.ts";
import { findFiltered, readFilters } from "./kernel.ts";
import { planThreads } from "./plan.ts";
import { isRestartBlock, withoutRestart } from "./restart.ts";
import { isAllowedSpeculation } from "./speculation.ts";

/** prctl(PR_GET_SECCOMP). */
const PR_GET_SECCOMP = 21;

/** The plugin. */
export const seccomp: Plugin = definePlugin({
  name: "seccomp",
  description: "seccomp's strict mode and filters of every thread",
  images: [SECCOMP],
  before: ["sud", "credentials"],
  check: seccompFeatures,
  checkpoint: dumpSeccomp,
  restore: restoreSeccomp,
});

/* ------------------------------------------------------------------ checkpoint */

function dumpSeccomp({ writer }: CheckpointSession): CheckpointHooks {
  const pool = new FilterPool();
  const chains = new Map<number, Filter[]>();
  const strict = new Set<number>();

  /** It may be let go at any time from now on, and must not make the call then that its filters forbid. */
  function stopThread(tracee: Tracee): void {
    const { registers, tid } = tracee;
    if (!isRestartBlock(registers)) return;
    let filters: readonly Filter[];
    try {
      filters = readFilters(tid, pool);
    } catch (error) {
      // What keeps this process from reading them, the survey has told, or tells when all have stopped.
      if (error instanceof StasisError) return;
      throw error;
    }
    const again = withoutRestart(registers, filters.map(decoded));
    if (again === undefined) return;
    setRegisters(tid, again);
    tracee.registers = again;
  }

  function freezeThreads(threads: readonly StoppedThread[]): void {
    const needed = ({ tracee: { pid, tid } }: StoppedThread) =>
      (readStatus(pid, tid).seccomp ?? 0) !== 0;
    const suspended = suspendAll(threads, needed);
    const filtered = new Set(findFiltered(suspended.map(({ tid }) => tid)));
    for (const thread of suspended) {
      // Strict mode does not show in the filters, and is rarely that of other threads than the first.
      if (filtered.has(thread.tid) || (thread.proc.status.seccomp ?? 0) !== 0) keepFilters(thread);
    }
  }

  function keepFilters({ tid, tracee }: StoppedThread): void {
    const { pid } = tracee;
    const filters = readFilters(tid, pool);
    tracee.noteOptions();
    tracee.endWithTool();
    tracee.needsTracer = true;
    if (filters.length === 0) return;
    const allowed = isAllowedSpeculation(pid, tid);
    const marked = ({ bytes, flags }: Filter) => pool.intern(bytes, flags | FILTER_FLAG.SPEC_ALLOW);
    chains.set(tid, allowed ? filters.map(marked) : filters);
  }

  const asking = new Map<Filter, boolean>();
  function asksSupervisor(filter: Filter): boolean {
    let known = asking.get(filter);
    if (known === undefined) asking.set(filter, known = notifies(decoded(filter)));
    return known;
  }

  const programs = new Map<Filter, Instruction[]>();
  function decoded(filter: Filter): Instruction[] {
    let program = programs.get(filter);
    if (program === undefined) programs.set(filter, program = decodeFilter(filter.bytes));
    return program;
  }

  function surveyFrozen({ tasks, problem }: SurveyContext): void {
    for (const { pid, threads } of tasks) {
      const tid = threads.find((tid) => chains.get(tid)?.some(asksSupervisor));
      if (tid === undefined) continue;
      problem({
        pid,
        tid,
        what:
          "a seccomp filter of it hands calls to a supervisor (SECCOMP_RET_USER_NOTIF), whose listener cannot be rebuilt",
        hint: "checkpoint it without such a supervisor, or the program inside on its own",
      });
    }
  }

  function dumpTree({ tasks }: FrozenTree): void {
    const images = new ChainWriter();
    let any = false;
    for (const { threads } of tasks) {
      const cores = images.addTask(threads.map(({ tid }): ThreadSeccomp => {
        const chain = chains.get(tid);
        if (chain !== undefined) return { mode: "filter", chain };
        return { mode: strict.has(tid) ? "strict" : "off" };
      }));
      threads.forEach(({ core }, index) => Object.assign(core.threadCore, cores[index]));
      any ||= cores.some(({ seccompMode }) => seccompMode !== undefined);
    }
    if (any) writer.write(SECCOMP, null, { seccompFilters: images.filters });
  }

  return {
    survey(context) {
      if (context.frozen) surveyFrozen(context);
      else surveyRunning(context);
    },
    suspendsFilters: true,
    mayNeedTracer: ({ status }) => (status.seccomp ?? 0) !== 0,
    stopThread,
    freezeThreads,
    collectThreads(program) {
      const mode = program.try("prctl", PR_GET_SECCOMP, 0, 0, 0, 0);
      return ({ tid }, reply) => {
        if (reply.result(mode) === BigInt(SECCOMP_MODE.STRICT)) strict.add(tid);
      };
    },
    dumpTree,
    descriptors: [{
      kind: "seccomp listener",
      claims: ({ link }) => link.kind === "anon-inode" && link.path === "seccomp notify",
      survey: refuseListener,
      dump({ descriptor }) {
        throw new StasisError("unsupported", refuseListener(descriptor).what, {
          pid: descriptor.pid,
        });
      },
    }],
  };
}

function refuseListener({ fd }: Descriptor) {
  return {
    what:
      `descriptor ${fd} listens to the calls of a seccomp filter (SECCOMP_FILTER_FLAG_NEW_LISTENER), which cannot be rebuilt`,
    hint: "end the supervisor, or checkpoint a part of the tree without it and what it supervises",
  };
}

/** Where seccomp cannot be suspended, what has any is found before it is stopped. */
function surveyRunning({ tasks, problem }: SurveyContext): void {
  let inability = missingPrivilege();
  // Whether the kernel can is tried where that matters; filters of other threads than the first are rare.
  if (inability === undefined && tasks.some(({ status }) => (status.seccomp ?? 0) !== 0)) {
    inability = ownInability();
  }
  if (inability === undefined) return;
  for (const { pid, threads } of tasks) {
    const tid = threads.find((tid) => isUnderSeccomp(pid, tid));
    if (tid === undefined) continue;
    const what = `it is under seccomp, which cannot be suspended: ${inability.why}`;
    problem({ pid, tid, what, hint: inability.hint });
  }
}

function isUnderSeccomp(pid: number, tid: number): boolean {
  try {
    return (readStatus(pid, tid).seccomp ?? 0) !== 0;
  } catch (error) {
    // A thread of a running tree may end at any moment.
    if (error instanceof StasisError && error.code === "no-such-task") return false;
    throw error;
  }
}

/* --------------------------------------------------------------------- restore */

function restoreSeccomp({ images, note }: RestoreSession): RestoreHooks {
  const pool = new FilterPool();
  const filters: FilterImage[] = [];
  let suspended = false;

  function planTask(task: TaskPlanner): void {
    const { pid, threads } = task;
    const cores = threads.map(({ core: { threadCore } }) => ({
      seccompMode: present(threadCore, "seccompMode"),
      seccompFilter: present(threadCore, "seccompFilter"),
    }));
    let states: ThreadSeccomp[];
    try {
      states = readTask(cores, filters, pool);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new StasisError("bad-image", `the seccomp of task ${pid}: ${error.message}`, { pid });
    }
    if (states.every(({ mode }) => mode === "off")) return;
    suspended = true;
    planThreads(threads.map((thread, index) => ({
      state: states[index] as ThreadSeccomp,
      program: (stage) => thread.program(stage),
    })));
  }

  return {
    load({ problem }) {
      if (!images.has(SECCOMP, null)) {
        if ((readStatus(Deno.pid).seccomp ?? 0) !== 0) {
          note("This tool is under seccomp itself: what it restores will be under it, too");
        }
        return;
      }
      for (const image of images.read(SECCOMP, null).seccompFilters) {
        const prev = present(image, "prev");
        filters.push({ filter: image.filter, flags: present(image, "flags"), prev });
      }
      // CRIU writes an empty image where no task has any filter.
      if (filters.length === 0) return;
      const inability = ownInability();
      if (inability === undefined) return;
      const what = `it has seccomp filters, which cannot be rebuilt: ${inability.why}`;
      problem({ what, hint: inability.hint });
    },
    planTask,
    bornThread({ tracee }) {
      // All of them: a filter with TSYNC comes to threads which have none by their own image.
      if (suspended) suspend(tracee, () => true);
    },
  };
}
