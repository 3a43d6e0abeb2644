/**
 * Timers of a process: the three interval timers of setitimer(2) and the POSIX timers of timer_create(2).
 * (Timers that are descriptors, timerfd_create(2), belong to the plugin of those.)
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | interval timers | injected getitimer(2) | `tc.timers.real`, `virt`, `prof` | setitimer(2) |
 * | POSIX timers: id, clock, sigevent | /proc/PID/timers | `tc.timers.posix` | timer_create(2) |
 * | their interval, time left | injected timer_gettime(2) | the same | timer_settime(2) |
 *
 * Times are those that are left: a timer for a moment on a clock fires as much later as the process was
 * away. The timers are created with the other state of the task (a timer for a thread needs that thread) and
 * set going in the last stage, when the waiting signals are queued. Every signal is blocked until the
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
import { prctl } from "../../core/linux/libc_ffi.ts";
import { readTimers } from "../../core/linux/procfs/mod.ts";
import {
  type Collected,
  definePlugin,
  type Feature,
  type FrozenTask,
  type Plugin,
  type RestoreHooks,
  type TaskPlanner,
} from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { Siginfo } from "../../core/linux/siginfo.ts";
import { firesAtOnce } from "./pending.ts";
import {
  decodeItimer,
  decodeSigevent,
  decodeSpec,
  encodeItimer,
  encodePosixTimer,
  itimerspec,
  itimerval,
} from "./encode.ts";

/** setitimer(2): the three timers in the order of their numbers, by the image's fields. */
const ITIMERS = ["real", "virt", "prof"] as const;

/** prctl(2), from `include/uapi/linux/prctl.h`. */
const PR_TIMER_CREATE_RESTORE_IDS = 77;
const RESTORE_IDS_OFF = 0, RESTORE_IDS_ON = 1, RESTORE_IDS_GET = 2;

const SIGALRM = 14;

/** How far ids are counted up on kernels that cannot be told one; each step is two calls. */
const COUNTING_LIMIT = 10_000;

/** The plugin. After "signals": a signal of a timer that fires at once must not take the place of a saved one. */
export const timers: Plugin = definePlugin({
  name: "timers",
  description: "interval timers and POSIX timers",
  after: ["signals"],
  check: () => [restoreIds()],
  checkpoint: () => ({ collectTask, dumpTask }),
  restore: restoreTimers,
});

function restoreIds(): Feature {
  return {
    name: "PR_TIMER_CREATE_RESTORE_IDS",
    available: prctl(PR_TIMER_CREATE_RESTORE_IDS, BigInt(RESTORE_IDS_GET)) >= 0,
    required: false,
    note: "without it (before Linux 6.16) POSIX timers with high ids cannot be restored",
  };
}

/* ------------------------------------------------------------------ checkpoint */

function collectTask(task: FrozenTask, program: SyscallProgram): Collected | void {
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
  };
}

/**
 * A timer that fired while its process stood still: if its signal is in the images and it was for one
 * time, the time that was left when it was asked is over.
 */
function dumpTask(task: FrozenTask): void {
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

function restoreTimers(): RestoreHooks {
  const canTellIds = restoreIds().available;
  return { planTask: (task) => planTask(task, canTellIds) };
}

function planTask(task: TaskPlanner, canTellIds: boolean): void {
  const saved = task.core.tc?.timers;
  if (saved === undefined) return;
  const posix = [...saved.posix].sort((a, b) => a.itId - b.itId);
  if (posix.length > 0) {
    const create = canTellIds ? createById : createByCounting;
    create(task, posix);
  }
  const program = task.program("signals");
  const waiting = waitingSignals(task);
  for (const entry of posix) {
    const spec = decodeSpec(entry, firesAtOnce(entry, waiting));
    if (spec === undefined) continue;
    program.call("timer_settime", entry.itId, 0, program.data(spec, "itimerspec"), 0);
  }
  ITIMERS.forEach((field, which) => {
    const value = decodeItimer(saved[field]);
    if (value === undefined) return;
    program.call("setitimer", which, program.data(value, "itimerval"), 0);
  });
}

/** The signals that wait for the task or one of its threads. */
function waitingSignals({ core, threads }: TaskPlanner): Siginfo[] {
  const queues = [core.tc?.signalsS, ...threads.map(({ core }) => core.threadCore?.signalsP)];
  return queues.flatMap((queue) => queue?.signals ?? [])
    .map(({ siginfo }) => new Siginfo(siginfo.slice()));
}

function createById(task: TaskPlanner, entries: readonly posix_timer_entry[]): void {
  const program = task.program("task");
  program.call("prctl", PR_TIMER_CREATE_RESTORE_IDS, RESTORE_IDS_ON, 0, 0, 0);
  for (const entry of entries) {
    const id = new Uint8Array(new Int32Array([entry.itId]).buffer);
    create(program, entry, id);
  }
  program.call("prctl", PR_TIMER_CREATE_RESTORE_IDS, RESTORE_IDS_OFF, 0, 0, 0);
}

function createByCounting(task: TaskPlanner, entries: readonly posix_timer_entry[]): void {
  const program = task.program("task");
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
    create(program, entry, new Uint8Array(4));
    next++;
  }
}

/** The clock as timer_create(2) takes it: a signed number. */
function create(program: SyscallProgram, entry: posix_timer_entry, id: Uint8Array): void {
  const event = program.data(decodeSigevent(entry), "sigevent");
  program.call("timer_create", entry.clockId | 0, event, program.output(id, "timerid"));
}
