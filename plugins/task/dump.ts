/**
 * The task plugin's part of a checkpoint.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { task_extra_entrySchema } from "../../images/gen/task_pb.ts";
import { FS } from "../../images/kinds/files.ts";
import { firstThreadStatus } from "../../core/checkpoint/leaderless.ts";
import { factsOf, findFile } from "../../core/checkpoint/file_location.ts";
import type { Task } from "../../core/checkpoint/task.ts";
import { StasisError } from "../../base/errors.ts";
import { readTaskFileLink } from "../../core/linux/long_link.ts";
import {
  NAMESPACE_NAMES,
  readAutogroupNice,
  readCoredumpFilter,
  readLimits,
  readLoginuid,
  readOomScoreAdj,
  statTaskLink,
} from "../../core/linux/procfs/mod.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  Collected,
  CollectedOfEach,
  FilesRead,
  FrozenTask,
} from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { SIG } from "../../core/linux/signals.ts";
import { cpusOf, isDefaultAffinity, readAffinityDefaults, readMaskSize } from "./affinity.ts";
import { DEFAULTS } from "./defaults.ts";
import { TASK_EXTRA } from "./image.ts";
import { encodeLimits, type LimitsImage } from "./limits.ts";
import { PR, SPECULATIONS, speculationToSave } from "./prctl.ts";
import { encodeSched, encodeSchedExtra, isNormal, readUsualSlice, schedAttr } from "./sched.ts";
import { hasPrivateHash } from "./futex_hash.ts";
import { askProcess, askThread } from "./settings.ts";
import { OF_THREADS, surveyTasks } from "./survey.ts";
import { askMappings, askMempolicy, hasNodes } from "./mempolicy.ts";
import { Unsaved } from "./unsaved.ts";

/** personality(2): only tell. */
const PERSONALITY_QUERY = 0xffffffffn;
/** membarrier(2): MEMBARRIER_CMD_GET_REGISTRATIONS, Linux 6.3. */
const MEMBARRIER_GET_REGISTRATIONS = 1 << 9;
const PRIO_PROCESS = 0, IOPRIO_WHO_PROCESS = 1;
const COMM_SIZE = 16;

type Extra = MessageInitShape<typeof task_extra_entrySchema> & { $typeName?: never };

/** What `task.img` has beside the ids. */
type ExtraFields = Omit<Extra, "pid" | "tid" | "$typeName" | "$unknown">;

/** The hooks of one checkpoint. */
export function dumpTasks(session: CheckpointSession): CheckpointHooks {
  const affinity = readAffinityDefaults();
  const maskSize = readMaskSize();
  const usualSlice = readUsualSlice();
  const surroundings = { hasPrivateHash: hasPrivateHash(), cpus: affinity.online.length };
  const unsaved = new Unsaved(session);
  const severalNodes = hasNodes();
  const extras = new Map<number, Extra>();
  const personalities = new Map<number, number>();
  /** Those of the task before. */
  let limits: LimitsImage | undefined;

  function collectTask(task: FrozenTask, program: SyscallProgram): Collected | void {
    const { tc } = task.leader.core;
    if (tc === undefined) return;
    const subreaper = program.output(4, "child_subreaper");
    program.call("prctl", PR.GET_CHILD_SUBREAPER, subreaper, 0, 0, 0);
    const barriers = program.try("membarrier", MEMBARRIER_GET_REGISTRATIONS, 0, 0);
    const settings = askProcess(program, task.threads.length, surroundings);
    const isUnsaved = unsaved.ask(task, program);
    const policies = severalNodes && task.memoryOwner === task.pid
      ? askMappings(task, program)
      : () => 0;
    return (reply) => {
      const count = policies(reply);
      if (count > 0) {
        session.note(
          `mappings of task ${task.pid} have NUMA policies (mbind), which are lost: ${count}`,
        );
      }
      isUnsaved(reply);
      tc.childSubreaper = reply.output(subreaper)[0] !== 0;
      // Kernels before 6.3 cannot tell.
      const registered = Number(reply.result(barriers));
      if (registered > 0) tc.membarrierRegistrationMask = registered;
      const filter = readCoredumpFilter(task.proc.liveTid);
      addExtra(task.pid, task.pid, {
        ...settings(reply),
        coredumpFilter: filter === DEFAULTS.coredumpFilter ? undefined : filter,
      });
    };
  }

  function collectThreads(program: SyscallProgram): CollectedOfEach {
    const name = program.output(COMM_SIZE, "comm");
    program.call("prctl", PR.GET_NAME, name, 0, 0, 0);
    const persona = program.call("personality", PERSONALITY_QUERY);
    const attributes = program.output(schedAttr.size, "sched_attr");
    program.call("sched_getattr", 0, attributes, schedAttr.size, 0);
    const priority = program.call("getpriority", PRIO_PROCESS, 0);
    const mask = program.output(maskSize, "cpu mask");
    program.call("sched_getaffinity", 0, maskSize, mask);
    const slack = program.call("prctl", PR.GET_TIMERSLACK, 0, 0, 0, 0);
    const io = program.try("ioprio_get", IOPRIO_WHO_PROCESS, 0);
    const speculation = SPECULATIONS.map((which) => ({
      which,
      value: program.try("prctl", PR.GET_SPECULATION_CTRL, which, 0, 0, 0),
    }));
    /** Nearly all threads have the mask of the one before. */
    let lastMask = "", lastCpus: number[] | undefined;
    const restrictionOf = (bytes: Uint8Array): number[] | undefined => {
      const key = bytes.join();
      if (key === lastMask) return lastCpus;
      const cpus = cpusOf(bytes);
      lastMask = key;
      return lastCpus = isDefaultAffinity(cpus, affinity) ? undefined : cpus;
    };
    const settings = askThread(program);
    const mempolicy = askMempolicy(program);
    return (thread, reply) => {
      const { core, task } = thread;
      const comm = decodeName(reply.output(name));
      const attr = schedAttr.read(reply.output(attributes));
      // The system call gives 40 to 1 instead of -20 to 19, to have no negative numbers.
      const nice = 20 - Number(reply.result(priority));
      Object.assign(core.threadCore, encodeSched(attr, nice), { comm: comm.text });
      const personality = Number(reply.result(persona));
      if (core.tc !== undefined) {
        Object.assign(core.tc, { comm: comm.text, personality });
        personalities.set(task.pid, personality);
      }
      const ioPriority = Number(reply.result(io));
      const timerSlack = reply.result(slack);
      // Real-time threads have none, and so have those that a real-time one makes without its policy.
      if (timerSlack === 0n && isNormal(attr.policy)) {
        session.note(
          `thread ${thread.tid} has a timer slack of 0, which cannot be set: it will have the default`,
        );
      }
      const cpus = restrictionOf(reply.output(mask));
      addExtra(task.pid, thread.tid, {
        ...settings(reply),
        mempolicy: mempolicy(reply),
        comm: comm.bytes,
        personality: personality === personalities.get(task.pid) ? undefined : personality,
        sched: encodeSchedExtra(attr, usualSlice),
        cpus,
        // 0 cannot be set.
        timerSlack: timerSlack === DEFAULTS.timerSlack || timerSlack === 0n
          ? undefined
          : timerSlack,
        // 0 where none was set, whatever follows from the nice value (get_task_raw_ioprio() of block/ioprio.c,
        // from 6.0 on).
        ioPriority: ioPriority <= 0 ? undefined : ioPriority,
        speculation: speculation.flatMap(({ which, value }) => {
          const control = speculationToSave(which, Number(reply.result(value)));
          return control === undefined ? [] : [{ which, control }];
        }),
      });
    };
  }

  /** Notes attributes of a thread, if there are any: those that are absent or empty are none. */
  function addExtra(pid: number, tid: number, fields: ExtraFields): void {
    const present = Object.entries(fields).filter(([, value]) =>
      value !== undefined && !(Array.isArray(value) && value.length === 0)
    );
    if (present.length === 0) return;
    const entry = extras.get(tid) ?? { pid, tid };
    extras.set(tid, Object.assign(entry, Object.fromEntries(present)));
  }

  function dumpTask(task: FrozenTask): void {
    const { tc } = task.leader.core;
    if (tc === undefined) return;
    tc.rlimits = limits = encodeLimits(readLimits(task.pid), limits);
    tc.oomScoreAdj = readOomScoreAdj(task.pid);
    tc.loginuid = readLoginuid(task.pid);
    if (task.proc.stat.session === task.pid) {
      addExtra(task.pid, task.pid, { autogroupNice: readAutogroupNice(task.pid) || undefined });
    }
    session.writer.write(FS, task.pid, {
      cwdId: directory(task.proc, "cwd"),
      rootId: directory(task.proc, "root"),
      umask: task.proc.status.umask,
    });
  }

  function directory({ pid, liveTid }: Task, link: "cwd" | "root"): number {
    const directory = `/proc/${liveTid}/${link}`;
    const text = readTaskFileLink(liveTid, link) ?? "/";
    const meant = statTaskLink(directory);
    const found = findFile(directory, text, `its ${link}`, session.options, factsOf(meant));
    if ("problem" in found) {
      throw new StasisError("unsupported", `task ${pid}: ${found.problem.what}`, { pid });
    }
    return session.files.path(found.path, 0, undefined, meant.mode, found.behind);
  }

  return {
    survey(tree) {
      surveyTasks(tree, session.options);
      unsaved.look(tree);
    },
    reads: {
      ofTasks: {
        cwd: "link",
        root: "link",
        coredump_filter: 32,
        limits: 2048,
        oom_score_adj: 32,
        loginuid: 32,
        ...links(NAMESPACE_NAMES),
      },
      ofThreads: links(OF_THREADS),
    },
    collectTask,
    collectThreads,
    dumpTask,
    dumpTree(tree) {
      unsaved.note(tree);
      const all = [...tree.tasks.map(({ proc }) => proc), ...tree.zombies];
      for (const { pid, stat: { exitSignal } } of all) {
        // The root's is that of whoever restores.
        if (pid !== tree.tasks[0]?.pid && exitSignal !== SIG.CHLD) {
          addExtra(pid, pid, { exitSignal });
        }
      }
      for (const { pid, proc } of tree.tasks) {
        if (proc.isLeaderless) addExtra(pid, pid, { leaderStatus: firstThreadStatus(pid) });
      }
      if (extras.size === 0) return;
      session.requirePlugin();
      session.writer.writeList(TASK_EXTRA, null, extras.values());
    },
  };
}

/** Links to namespaces. */
function links(names: readonly string[]): FilesRead {
  return Object.fromEntries(names.map((name) => [`ns/${name}`, "link"]));
}

const strictly = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const somehow = new TextDecoder("utf-8", { ignoreBOM: true });

/** A thread's name: as text, and as bytes where it is no UTF-8. */
export function decodeName(bytes: Uint8Array): { text: string; bytes?: Uint8Array } {
  const end = bytes.indexOf(0);
  const name = bytes.slice(0, end < 0 ? bytes.length : end);
  try {
    return { text: strictly.decode(name) };
  } catch {
    return { text: somehow.decode(name), bytes: name };
  }
}
