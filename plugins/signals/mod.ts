/**
 * Signals: handlers, masks, alternate stacks, and what waits to be delivered.
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | handlers of a process | injected rt_sigaction(2) | `tc.sigactions`, 62 entries: all but KILL and STOP | rt_sigaction(2), those that are not the default |
 * | blocked signals of a thread | PTRACE_GETSIGMASK, by the core | `thread_core.blk_sigset` | the core, when it lets go |
 * | alternate stack of a thread | injected sigaltstack(2) | `thread_core.sas` | sigaltstack(2) |
 * | signals that wait for a thread | PTRACE_PEEKSIGINFO | `thread_core.signals_p` | rt_tgsigqueueinfo(2) to itself |
 * | signals that wait for a process | the same | `tc.signals_s` | rt_sigqueueinfo(2) to itself |
 *
 * Waiting signals are queued in the last stage, in their old order and with their whole siginfo. Only a
 * thread itself may queue a siginfo that the kernel made (`si_code` >= 0, `do_rt_sigqueueinfo()` of
 * `kernel/signal.c`), so each thread queues its own, and the leader, whose tid is the pid, those of the
 * process. Everything is blocked meanwhile, so nothing is delivered, and even ignored signals are queued, as
 * they were. Those of POSIX timers are sent by the timers themselves (see the plugin "timers"). Before that, SIGCHLD is taken from the queue: zombies of the restored tree have died again.
 *
 * What is sent to a process while it is being saved is saved too, up to the moment before the last images go to
 * the disk; what comes between that and the kill, milliseconds later, is lost with the process (`late.ts`).
 *
 * Processes that share their handlers (CLONE_SIGHAND, which needs CLONE_VM) have them set once, by the first.
 *
 * @module
 */
import type { signal_queue_entry } from "../../images/gen/signals_pb.ts";
import { Siginfo } from "../../core/linux/siginfo.ts";
import { peekMany } from "../../core/linux/ptrace_many.ts";
import { kernelSigaction, SIGSET_SIZE } from "../../core/linux/sigaction.ts";
import { SIG, signalBit } from "../../core/linux/signals.ts";
import {
  type CheckpointHooks,
  type Collected,
  type CollectedOfEach,
  definePlugin,
  type FrozenTask,
  type Plugin,
  type RestoreHooks,
  type TaskPlanner,
  type ThreadPlanner,
} from "../../core/plugin.ts";
import { StasisError } from "../../base/errors.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { sendsItself } from "../timers/pending.ts";
import { decodeAltstack, encodeAltstack, stackT } from "./altstack.ts";
import { finalQueues, type Queues } from "./late.ts";
import {
  decodeSigaction,
  encodeSigactions,
  HANDLED_SIGNALS,
  isDefaultAction,
} from "./sigaction.ts";

/** The plugin. */
export const signals: Plugin = definePlugin({
  name: "signals",
  description: "signal handlers, masks, alternate stacks, pending signals",
  checkpoint: dumpSignals,
  restore: restoreSignals,
});

/* ------------------------------------------------------------------ checkpoint */

function dumpSignals(): CheckpointHooks {
  const waiting = new Map<number, Queues>();
  return {
    collectTask,
    collectThreads,
    /**
     * The queues as they are now that the timers have been read: one may have fired since the freeze, and will
     * not fire again.
     */
    dumpTree({ tasks }) {
      for (const [task, queues] of peekQueues(tasks)) {
        waiting.set(task.pid, queues);
        saveQueues(task, queues);
      }
    },
    dumpLast({ tasks }) {
      for (const [task, queues] of peekQueues(tasks)) {
        const saved = waiting.get(task.pid) as Queues;
        const intercepted = task.threads.map(({ tid, tracee }) =>
          [tid, tracee.intercepted] as const
        );
        saveQueues(task, finalQueues(saved, queues, new Map(intercepted)));
      }
    },
  };
}

function peekQueues(tasks: readonly FrozenTask[]): [FrozenTask, Queues][] {
  const shared = peekMany(tasks.map(({ leader }) => leader.tid), true);
  const own = peekMany(tasks.flatMap(({ threads }) => threads.map(({ tid }) => tid)), false);
  const queueOf = (queues: ReadonlyMap<number, readonly Siginfo[]>, id: number) =>
    queues.get(id) ?? [];
  return tasks.map((task) => [task, {
    shared: queueOf(shared, task.leader.tid),
    own: new Map(task.threads.map(({ tid }) => [tid, queueOf(own, tid)])),
  }]);
}

function saveQueues({ leader, threads }: FrozenTask, { shared, own }: Queues): void {
  const { tc } = leader.core;
  if (tc !== undefined) tc.signalsS = encodeQueue(shared);
  for (const { tid, core } of threads) core.threadCore.signalsP = encodeQueue(own.get(tid) ?? []);
}

function collectTask(task: FrozenTask, program: SyscallProgram): Collected | void {
  const { tc } = task.leader.core;
  if (tc === undefined) return;
  const actions = program.output(HANDLED_SIGNALS.length * kernelSigaction.size, "sigaction");
  HANDLED_SIGNALS.forEach((signal, index) => {
    const action = actions.part(index * kernelSigaction.size);
    program.call("rt_sigaction", signal, 0, action, SIGSET_SIZE);
  });
  return (reply) => void (tc.sigactions = encodeSigactions(reply.output(actions)));
}

function collectThreads(program: SyscallProgram): CollectedOfEach {
  const stack = program.output(stackT.size, "altstack");
  program.call("sigaltstack", 0, stack);
  return ({ tracee, core: { threadCore, tc } }, reply) => {
    threadCore.blkSigset = tracee.signalMask;
    if (tc !== undefined) tc.blkSigset = tracee.signalMask;
    threadCore.sas = encodeAltstack(reply.output(stack));
  };
}

function encodeQueue(queue: readonly Siginfo[]) {
  return { signals: queue.map(({ bytes }) => ({ siginfo: bytes.slice() })) };
}

/* --------------------------------------------------------------------- restore */

function restoreSignals(): RestoreHooks {
  return { planTask, planThread };
}

function planTask(task: TaskPlanner): void {
  const actions = task.core.tc?.sigactions ?? [];
  if (actions.length !== 0 && actions.length !== HANDLED_SIGNALS.length) {
    const what = `the image of task ${task.pid} has ${actions.length} signal handlers, not 62`;
    throw new StasisError("bad-image", what, { pid: task.pid });
  }
  if (task.handlersOwner === task.pid) {
    const program = task.program("task");
    actions.forEach((entry, index) => {
      if (isDefaultAction(entry)) return;
      const action = program.data(decodeSigaction(entry), "sigaction");
      program.call("rt_sigaction", HANDLED_SIGNALS[index] as number, action, 0, SIGSET_SIZE);
    });
  }
  const program = task.program("signals");
  dropSigchld(program);
  const posix = task.core.tc?.timers?.posix ?? [];
  for (const info of decodeQueue(task.core.tc?.signalsS)) {
    if (sendsItself(info, posix)) continue;
    program.call("rt_sigqueueinfo", task.pid, info.signal, info.bytes);
  }
}

/** What zombies of the tree, as they died again, have queued here: one at most, as for all classic signals. */
function dropSigchld(program: SyscallProgram): void {
  const set = new Uint8Array(new BigUint64Array([signalBit(SIG.CHLD)]).buffer);
  const atOnce = new Uint8Array(16);
  program.try("rt_sigtimedwait", set, 0, atOnce, SIGSET_SIZE);
}

function planThread(thread: ThreadPlanner): void {
  const { core, tid, task } = thread;
  const sas = core.threadCore?.sas;
  const stack = sas === undefined ? undefined : decodeAltstack(sas);
  if (stack !== undefined) thread.program("thread").call("sigaltstack", stack, 0);
  const posix = task.core.tc?.timers?.posix ?? [];
  for (const info of decodeQueue(core.threadCore?.signalsP)) {
    if (sendsItself(info, posix)) continue;
    thread.program("signals")
      .call("rt_tgsigqueueinfo", task.pid, tid, info.signal, info.bytes);
  }
}

function decodeQueue(queue: signal_queue_entry | undefined): Siginfo[] {
  return (queue?.signals ?? []).map(({ siginfo }) => {
    if (siginfo.byteLength !== Siginfo.SIZE) {
      throw new StasisError("bad-image", `a pending signal in the image is not 128 bytes long`);
    }
    return new Siginfo(siginfo.slice());
  });
}
