/**
 * Timers of a process: the three interval timers of setitimer(2) and the POSIX timers of timer_create(2).
 * (Timers that are descriptors, timerfd_create(2), belong to the plugin of those.)
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | interval timers | injected getitimer(2) | `tc.timers.real`, `virt`, `prof` | setitimer(2) |
 * | POSIX timers: id, clock, sigevent | /proc/PID/timers | `tc.timers.posix` | timer_create(2) |
 * | their interval, time left | injected timer_gettime(2) | the same | timer_settime(2) |
 * | whether timer_create(2) takes ids | injected prctl(2) | `timers.img` | prctl(2) |
 *
 * Times are those that are left: a timer for a moment on a clock fires as much later as the process was
 * away. The timers are created as soon as the threads are there (a timer for a thread needs that thread, if only
 * for a moment: it may have ended long ago, and the timer goes on without telling anybody) and set going in the
 * last stage, when the waiting signals are queued. Every signal is blocked until the
 * process runs, so one that fires at once is not lost. A POSIX timer whose signal waits is set to fire at
 * once, and so sends it again, see `pending.ts`. Overruns are counted anew: the kernel does not tell those of a
 * signal that waits, and offers no way to set them.
 *
 * Ids must be the old ones. PR_TIMER_CREATE_RESTORE_IDS (Linux 6.16) lets timer_create(2) be told the id.
 * Older kernels number a process's timers from 0 on, so timers are created and deleted until the number is
 * reached (`kernel/time/posix-timers.c`, posix_timer_add()).
 *
 * @module
 */
import type { posix_timer_entry } from "../../images/gen/timers_pb.ts";
import { StasisError } from "../../base/errors.ts";
import { readTimers, unlessGone } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  type Collected,
  definePlugin,
  type FrozenTask,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
  type TaskPlanner,
} from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { Siginfo } from "../../core/linux/siginfo.ts";
import { cpuClock, threadClock } from "./clock.ts";
import { TIMERS_EXTRA } from "./image.ts";
import { restoreIds, timerFeatures } from "./features.ts";
import { findMaker } from "./maker.ts";
import { firesAtOnce } from "./pending.ts";
import { PR_TIMER_CREATE_RESTORE_IDS, RESTORE_IDS } from "./restore_ids.ts";
import { timerProblems } from "./survey.ts";
import {
  decodeItimer,
  decodeSigevent,
  decodeSpec,
  encodeItimer,
  encodePosixTimer,
  itimerspec,
  itimerval,
  SIGEV,
  sigevent,
} from "./encode.ts";

/** setitimer(2): the three timers in the order of their numbers, by the image's fields. */
const ITIMERS = ["real", "virt", "prof"] as const;

const SIGALRM = 14;

/** How far ids are counted up on kernels that cannot be told one; each step is two calls. */
const COUNTING_LIMIT = 10_000;

/** The plugin. After "signals": a signal of a timer that fires at once must not take the place of a saved one. */
export const timers: Plugin = definePlugin({
  name: "timers",
  description: "interval timers and POSIX timers",
  after: ["signals"],
  check: timerFeatures,
  images: [TIMERS_EXTRA],
  checkpoint: checkpointTimers,
  restore: restoreTimers,
});

/* ------------------------------------------------------------------ checkpoint */

function checkpointTimers(session: CheckpointSession): CheckpointHooks {
  return {
    reads: { ofTasks: { timers: 2048 } },
    survey(tree) {
      const tasks = tree.tasks.map((task) => ({
        pid: task.pid,
        threads: task.threads,
        timers: unlessGone(() => readTimers(task.pid), []),
      }));
      for (const problem of timerProblems(tasks)) tree.problem(problem);
    },
    collectTask: (task, program) => collectTask(task, program, session),
    dumpTask(task) {
      nameMakers(task, session);
      completeReal(task);
    },
  };
}

function collectTask(
  task: FrozenTask,
  program: SyscallProgram,
  session: CheckpointSession,
): Collected | void {
  const { tc } = task.leader.core;
  if (tc === undefined) return;
  const intervals = ITIMERS.map((_, which) => {
    const value = program.output(itimerval.size, "itimerval");
    program.call("getitimer", which, value);
    return value;
  });
  const posix = readTimers(task.pid).map((timer) => {
    const spec = program.output(itimerspec.size, "itimerspec");
    program.call("timer_gettime", timer.id, spec);
    return { timer, spec, overrun: program.try("timer_getoverrun", timer.id) };
  });
  const restoreIds = program.try(
    "prctl",
    PR_TIMER_CREATE_RESTORE_IDS,
    RESTORE_IDS.GET,
    0,
    0,
    0,
  );
  return (reply) => {
    const [real, virt, prof] = intervals.map((value) => encodeItimer(reply.output(value)));
    tc.timers = {
      real,
      virt,
      prof,
      posix: posix.map(({ timer, spec, overrun }) => {
        const count = Number(reply.result(overrun));
        return encodePosixTimer(timer, reply.output(spec), Math.max(count, 0));
      }),
    };
    if (reply.result(restoreIds) !== 1n) return;
    session.requirePlugin();
    session.writer.append(TIMERS_EXTRA, null, { pid: task.pid, createRestoreIds: true });
  };
}

/**
 * Says of timers on the CPU clock of "the thread that made it" which thread that is: at restore another one makes
 * them. The one that is signalled is most likely it.
 */
function nameMakers(task: FrozenTask, session: CheckpointSession): void {
  const posix = task.leader.core.tc?.timers?.posix ?? [];
  for (const timer of posix) {
    const { itId = 0, clockId = 0, notifyThreadId } = timer;
    const clock = cpuClock(clockId);
    if (clock?.of !== "thread" || clock.id !== 0 || notifyThreadId === undefined) continue;
    if (task.threads.length === 1) continue;
    const isOff = timer.vsec === 0n && timer.vnsec === 0n;
    const maker = isOff ? undefined : findMaker(task, itId, notifyThreadId, () => session.check());
    if (maker !== undefined) timer.clockId = threadClock(maker) >>> 0;
    else {
      session.note(
        `timer ${itId} of task ${task.pid} measures the CPU time of the thread that made it, which nothing tells: ` +
          `it will be that of thread ${notifyThreadId}, which it signals`,
      );
    }
  }
}

/**
 * A timer that fired while its process stood still: if its signal is in the images and it was for one
 * time, the time that was left when it was asked is over.
 */
function completeReal(task: FrozenTask): void {
  const { tc } = task.leader.core;
  const real = tc?.timers?.real;
  if (tc === undefined || real === undefined || real.isec !== 0n || real.iusec !== 0n) return;
  const has = (queue: readonly Siginfo[]) => queue.some(({ signal }) => signal === SIGALRM);
  const saved = (tc.signalsS?.signals ?? []).map(({ siginfo }) =>
    new Siginfo(Uint8Array.from(siginfo ?? []))
  );
  if (has(saved) && !has(task.sharedPending)) Object.assign(real, { vsec: 0n, vusec: 0n });
}

/* --------------------------------------------------------------------- restore */

function restoreTimers({ images }: RestoreSession): RestoreHooks {
  const canTellIds = restoreIds().available;
  const extras = images.has(TIMERS_EXTRA, null) ? images.readList(TIMERS_EXTRA, null) : [];
  const takingIds = new Set(
    extras.filter(({ createRestoreIds }) => createRestoreIds).map(({ pid }) => pid),
  );
  return {
    load(context) {
      if (takingIds.size === 0 || canTellIds) return;
      context.problem({
        what: "a program has timer_create(2) take ids, which this kernel does not know",
        hint: "restore under Linux 6.16 or later",
      });
    },
    planTask: (task) => planTask(task, canTellIds, takingIds.has(task.pid)),
  };
}

function planTask(task: TaskPlanner, canTellIds: boolean, takesIds: boolean): void {
  const saved = task.core.tc?.timers;
  if (saved === undefined) return;
  const posix = [...saved.posix].sort((a, b) => a.itId - b.itId);
  if (posix.length > 0) {
    const create = canTellIds ? createById : createByCounting;
    create(task, posix);
  }
  const program = task.program("signals");
  if (takesIds) program.call("prctl", PR_TIMER_CREATE_RESTORE_IDS, RESTORE_IDS.ON, 0, 0, 0);
  const waiting = waitingSignals(task);
  for (const entry of posix) {
    const spec = decodeSpec(entry, firesAtOnce(entry, waiting));
    // Nobody can set one whose thread has ended.
    if (spec === undefined || endedClock(task, entry) !== undefined) continue;
    program.call("timer_settime", entry.itId, 0, program.data(spec, "itimerspec"), 0);
  }
  ITIMERS.forEach((field, which) => {
    const value = decodeItimer(saved[field]);
    if (value === undefined) return;
    program.call("setitimer", which, program.data(value, "itimerval"), 0);
  });
}

/** The thread whose CPU time a timer measures, if that is one which has ended. */
function endedClock(task: TaskPlanner, { clockId }: posix_timer_entry): number | undefined {
  const clock = cpuClock(clockId);
  if (clock?.of !== "thread" || clock.id === 0) return undefined;
  return task.threads.some(({ tid }) => tid === clock.id) ? undefined : clock.id;
}

/** The signals that wait for the task or one of its threads. */
function waitingSignals({ core, threads }: TaskPlanner): Siginfo[] {
  const queues = [core.tc?.signalsS, ...threads.map(({ core }) => core.threadCore?.signalsP)];
  return queues.flatMap((queue) => queue?.signals ?? [])
    .map(({ siginfo }) => new Siginfo(siginfo.slice()));
}

/**
 * Timers are created in the stage of the threads, when those are there: also the ones that have ended by the time
 * when the program runs.
 */
function createById(task: TaskPlanner, entries: readonly posix_timer_entry[]): void {
  const program = task.program("threads");
  const turn = (mode: number) => program.call("prctl", PR_TIMER_CREATE_RESTORE_IDS, mode, 0, 0, 0);
  turn(RESTORE_IDS.ON);
  for (const entry of entries) {
    create(task, entry, new Uint8Array(new Int32Array([entry.itId]).buffer));
  }
  turn(RESTORE_IDS.OFF);
}

function createByCounting(task: TaskPlanner, entries: readonly posix_timer_entry[]): void {
  const program = task.program("threads");
  const last = entries.at(-1)?.itId ?? 0;
  if (last > COUNTING_LIMIT) {
    throw new StasisError(
      "unsupported",
      `task ${task.pid} has a timer with the id ${last}, which this kernel cannot be told`,
      { pid: task.pid, hint: "restore under Linux 6.16 or later" },
    );
  }
  let next = 0;
  for (const entry of entries) {
    for (; next < entry.itId; next++) {
      const id = program.output(4, "timerid");
      program.call("timer_create", 0, 0, id);
      program.call("timer_delete", id.int(0));
    }
    create(task, entry, new Uint8Array(4));
    next++;
  }
}

/** Adds the call that creates a timer, and where its thread has ended a thread of that id before it. */
function create(task: TaskPlanner, entry: posix_timer_entry, id: Uint8Array): void {
  const program = task.program("threads");
  const ended = endedClock(task, entry);
  if (ended !== undefined) task.endedThread(ended);
  const { tid } = sigevent.read(decodeSigevent(entry));
  if (tid !== 0 && task.threads.every((thread) => thread.tid !== tid)) task.endedThread(tid);
  const event = program.data(decodeSigevent(entry), "sigevent");
  const timer = program.output(id, "timerid");
  program.call("timer_create", clockOf(entry), event, timer);
}

/**
 * The clock as timer_create(2) takes it, a signed number. The CPU time of "the thread that made it" is that of the
 * thread which is told, where one is.
 */
function clockOf({ clockId, itSigevNotify, notifyThreadId }: posix_timer_entry): number {
  const clock = cpuClock(clockId);
  const isOwn = clock?.of === "thread" && clock.id === 0;
  return isOwn && itSigevNotify === SIGEV.THREAD_ID && notifyThreadId !== undefined
    ? threadClock(notifyThreadId)
    : clockId | 0;
}
