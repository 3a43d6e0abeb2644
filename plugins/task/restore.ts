/**
 * The task plugin's part of a restore.
 *
 * @module
 */
import type { task_extra_entry } from "../../images/gen/task_pb.ts";
import type { thread_core_entry } from "../../images/gen/thread_pb.ts";
import { present } from "../../images/present.ts";
import { FS } from "../../images/kinds/files.ts";
import { uniqueById } from "../../images/unique.ts";
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../../core/linux/capability.ts";
import {
  NO_LOGINUID,
  readCoredumpFilter,
  readLimits,
  readLoginuid,
  readOomScoreAdj,
} from "../../core/linux/procfs/mod.ts";
import type {
  RestoreHooks,
  RestoreSession,
  TaskPlanner,
  ThreadPlanner,
} from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { SharedCalls } from "../../core/remote/shared_calls.ts";
import { SIG } from "../../core/linux/signals.ts";
import { ALL_CPUS, maskOf } from "./affinity.ts";
import { DEFAULTS } from "./defaults.ts";
import { TASK_EXTRA } from "./image.ts";
import { decodeLimit, limitsOutOfReach } from "./limits.ts";
import { planMempolicy, readMempolicy } from "./mempolicy.ts";
import { PR } from "./prctl.ts";
import { decodeIdleSlice, decodeSched } from "./sched.ts";
import { planProcessSettings, planThreadSettings, readInherited } from "./settings.ts";

const AT_FDCWD = -100;
const O_WRONLY = 1, O_PATH = 0o10000000, O_DIRECTORY = 0o200000, O_CLOEXEC = 0o2000000;
const PRIO_PROCESS = 0, IOPRIO_WHO_PROCESS = 1;
const COMM_SIZE = 16;
const LAST_SIGNAL = 64;
/** The part of a wait status with the exit code. */
const EXIT_CODE = 0xff00;

const encoder = new TextEncoder();

/** What a thread is to be, beside what this plugin's own image says. */
interface ThreadSettings
  extends Pick<thread_core_entry, "schedNice" | "schedPolicy" | "schedPrio"> {
  readonly comm: string;
  readonly personality: number;
}

/** The hooks of one restore. */
export function restoreTasks(session: RestoreSession): RestoreHooks {
  const { images, machine } = session;
  const extras = uniqueById(
    images.has(TASK_EXTRA, null) ? images.readList(TASK_EXTRA, null) : [],
    ({ tid }) => tid,
    images.pathOf(TASK_EXTRA, null),
    "thread",
  );
  const own = {
    oomScoreAdj: readOomScoreAdj(Deno.pid),
    loginuid: readLoginuid(Deno.pid),
    coredumpFilter: readCoredumpFilter(Deno.pid),
    limits: readLimits(Deno.pid),
    settings: readInherited(),
    mempolicy: readMempolicy(),
    /** May raise hard limits (setrlimit(2)), and make I/O flushers. */
    mayRaise: (machine.privileges.caps.effective & CAP.SYS_RESOURCE) !== 0n,
  };

  const planned = new SharedCalls();

  function planTask(task: TaskPlanner): void {
    const { tc } = task.core;
    if (tc === undefined) return;
    const program = task.program("task");
    if (tc.childSubreaper) program.call("prctl", PR.SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (let bit = 0; bit < 31; bit++) {
      const command = 1 << bit;
      if ((tc.membarrierRegistrationMask & command) === 0) continue;
      program.call("membarrier", command, 0, 0);
    }
    const oomScoreAdj = present(tc, "oomScoreAdj");
    if (oomScoreAdj !== undefined && oomScoreAdj !== own.oomScoreAdj) {
      writeProc(program, "oom_score_adj", String(oomScoreAdj));
    }
    planLoginuid(task);
    const extra = extras.get(task.pid);
    const filter = present(extra, "coredumpFilter") ?? DEFAULTS.coredumpFilter;
    if (task.memoryOwner === task.pid && own.coredumpFilter !== undefined) {
      if (filter !== own.coredumpFilter) {
        writeProc(program, "coredump_filter", `0x${filter.toString(16)}`);
      }
    }
    if (task.memoryOwner === task.pid) planProcessSettings(program, extra);
    // A session begins at 0. That of a root which leads none is the tool's own, and stays as it is.
    const autogroupNice = present(extra, "autogroupNice");
    if (autogroupNice !== undefined) planAutogroup(program, autogroupNice);
    if (task.fsOwner === task.pid) planDirectories(task);
    planLimits(task);
  }

  /** Only who has CAP_AUDIT_CONTROL may change one that is set (audit_set_loginuid() of `kernel/audit.c`). */
  function planLoginuid(task: TaskPlanner): void {
    const loginuid = present(task.core.tc, "loginuid");
    if (loginuid === undefined || own.loginuid === undefined || loginuid === own.loginuid) return;
    const program = task.program("task");
    if (own.loginuid === NO_LOGINUID) {
      writeProc(program, "loginuid", String(loginuid));
      return;
    }
    session.note(
      `task ${task.pid} had the login uid ${loginuid}, and keeps ${own.loginuid} if the kernel does not let it go`,
    );
    const fd = program.try("openat", AT_FDCWD, "/proc/self/loginuid", O_WRONLY | O_CLOEXEC, 0);
    const text = encoder.encode(String(loginuid));
    program.try("write", fd, text, text.byteLength);
    program.try("close", fd);
  }

  /** Both are opened before the root changes, since their paths begin at the tool's root. */
  function planDirectories(task: TaskPlanner): void {
    if (!session.images.has(FS, task.pid)) return;
    const image = session.images.read(FS, task.pid);
    const { cwdId, rootId } = image;
    const umask = present(image, "umask");
    const program = task.program("close");
    const flags = O_PATH | O_DIRECTORY;
    const cwd = task.files.open(program, cwdId, flags);
    if (task.files.pathOf(rootId) !== "/") {
      const root = task.files.open(program, rootId, flags);
      program.call("fchdir", root);
      program.call("chroot", ".");
      program.call("close", root);
    }
    program.call("fchdir", cwd);
    program.call("close", cwd);
    if (umask !== undefined) program.call("umask", umask);
  }

  function planLimits(task: TaskPlanner): void {
    const limits = task.core.tc?.rlimits?.rlimits ?? [];
    const beyond = own.mayRaise ? [] : limitsOutOfReach(limits, own.limits);
    if (beyond.length > 0) refuseLimits(task, beyond);
    const key = ["limits", ...limits.map(({ cur, max }) => `${cur} ${max}`)];
    planned.add(task.program("close"), key, (program) => {
      limits.forEach((limit, resource) => {
        program.call("prlimit64", 0, resource, program.data(decodeLimit(limit), "rlimit"), 0);
      });
    });
  }

  function planThread(thread: ThreadPlanner): void {
    const { core: { threadCore }, task, tid } = thread;
    const extra = extras.get(tid);
    if (extra?.ioFlusher === true && !own.mayRaise) refuseFlusher(thread);
    const wanted: ThreadSettings = {
      // Old images have the name of the leader only.
      comm: present(threadCore, "comm") ?? task.core.tc?.comm ?? "",
      personality: task.core.tc?.personality ?? 0,
      schedNice: threadCore?.schedNice ?? 0,
      schedPolicy: threadCore?.schedPolicy ?? 0,
      schedPrio: threadCore?.schedPrio ?? 0,
    };
    // Whose they are makes no difference.
    const key = [wanted, extra && { ...extra, pid: 0, tid: 0 }];
    planned.add(thread.program("thread"), key, (program) => planSettings(program, wanted, extra));
  }

  function planSettings(
    program: SyscallProgram,
    wanted: ThreadSettings,
    extra: task_extra_entry | undefined,
  ): void {
    const name = present(extra, "comm") ?? encoder.encode(wanted.comm);
    const bytes = new Uint8Array(COMM_SIZE);
    bytes.set(name.subarray(0, COMM_SIZE - 1));
    program.call("prctl", PR.SET_NAME, program.data(bytes, "comm"), 0, 0, 0);
    program.call("personality", present(extra, "personality") ?? wanted.personality);
    const mask = extra !== undefined && extra.cpus.length > 0 ? maskOf(extra.cpus) : ALL_CPUS;
    program.call("sched_setaffinity", 0, mask.byteLength, program.data(mask, "cpu mask"));
    const slack = present(extra, "timerSlack") ?? DEFAULTS.timerSlack;
    program.call("prctl", PR.SET_TIMERSLACK, slack, 0, 0, 0);
    // 0 is "none": it follows the nice value.
    program.call("ioprio_set", IOPRIO_WHO_PROCESS, 0, extra?.ioPriority ?? 0);
    for (const { which, control } of extra?.speculation ?? []) {
      program.call("prctl", PR.SET_SPECULATION_CTRL, which, control, 0, 0);
    }
    planThreadSettings(program, extra, own.settings);
    planMempolicy(program, extra?.mempolicy, own.mempolicy);
    // sched_setattr(2) takes the nice value of normal threads only; real-time ones keep one for later.
    program.call("setpriority", PRIO_PROCESS, 0, wanted.schedNice);
    const slice = decodeIdleSlice(extra?.sched);
    if (slice !== undefined) {
      program.call("sched_setattr", 0, program.data(slice, "sched_attr"), 0);
    }
    const attributes = decodeSched(wanted, extra?.sched);
    program.call("sched_setattr", 0, program.data(attributes, "sched_attr"), 0);
  }

  function leaderStatus(pid: number): number | undefined {
    const status = present(extras.get(pid), "leaderStatus");
    if (status === undefined || status === SIG.SYS || (status & ~EXIT_CODE) === 0) return status;
    const path = images.pathOf(TASK_EXTRA, null);
    throw new StasisError("bad-image", `task ${pid} in ${path} has leader status ${status}`, {
      pid,
    });
  }

  function exitSignal(pid: number): number | undefined {
    const signal = present(extras.get(pid), "exitSignal");
    if (signal === undefined || signal <= LAST_SIGNAL) return signal;
    const path = images.pathOf(TASK_EXTRA, null);
    throw new StasisError("bad-image", `task ${pid} in ${path} has signal ${signal}`, { pid });
  }

  return { exitSignal, leaderStatus, planTask, planThread };
}

function refuseLimits(task: TaskPlanner, beyond: readonly { readonly name: string }[]): never {
  const names = beyond.map(({ name }) => name).join(", ");
  throw new StasisError(
    "no-privilege",
    `task ${task.pid} had higher limits than this process may give: ${names}`,
    { pid: task.pid, hint: "raise the hard limits of this process first (ulimit -H)" },
  );
}

/** It changes how much CPU time the session gets: a kernel without CONFIG_SCHED_AUTOGROUP restores the rest. */
function planAutogroup(program: SyscallProgram, nice: number): void {
  const flags = O_WRONLY | O_CLOEXEC;
  const fd = program.try("openat", AT_FDCWD, "/proc/self/autogroup", flags, 0);
  const text = encoder.encode(String(nice));
  program.try("write", fd, text, text.byteLength);
  program.try("close", fd);
}

function refuseFlusher({ tid, task: { pid } }: ThreadPlanner): never {
  throw new StasisError(
    "no-privilege",
    `thread ${tid} of task ${pid} was an I/O flusher (PR_SET_IO_FLUSHER), which takes CAP_SYS_RESOURCE`,
    { pid, hint: "restore with that capability" },
  );
}

/** Writes one of the task's own files in /proc. The tool's root is still the task's. */
function writeProc(program: SyscallProgram, file: string, text: string): void {
  const bytes = encoder.encode(text);
  const fd = program.call("openat", AT_FDCWD, `/proc/self/${file}`, O_WRONLY | O_CLOEXEC, 0);
  program.expect(BigInt(bytes.byteLength), "write", fd, bytes, bytes.byteLength);
  program.call("close", fd);
}
