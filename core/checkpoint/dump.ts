/**
 * The dump phase: has the plugins collect what they need in one program a thread, then write their images,
 * and writes the images of the core: the tree, the threads, ids, descriptor tables.
 *
 * @module
 */
import { CORE, IDS, PSTREE } from "../../images/kinds/core.ts";
import { IPC_NAMESPACE } from "../../images/kinds/sysv_ipc.ts";
import { type Hooked, runHook } from "../hooks.ts";
import { ownNamespaces, readNamespaces } from "../linux/procfs/mod.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  Collected,
  CollectedOfEach,
  FrozenTask,
  FrozenThread,
  FrozenTree,
  SavedTree,
} from "../plugin.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { ProgramReply } from "../remote/program_reply.ts";
import { RemoteTask } from "../remote/remote_task.ts";
import { StartedRuns } from "../remote/started_runs.ts";
import type { Tell } from "../remote/steps.ts";
import { dumpDescriptors } from "./descriptors.ts";
import { coresOf, zombieCore } from "./frozen_tree.ts";
import { askReports } from "./job_control.ts";

type Plugins = readonly Hooked<CheckpointHooks>[];

/** What a plugin wants to be told of one program's results. */
interface Listener {
  readonly plugin: Hooked<CheckpointHooks>["plugin"];
  readonly collected: Collected;
}

/** The calls that every thread makes, and who takes their results. */
interface Common {
  readonly program: SyscallProgram;
  readonly listeners: readonly {
    readonly plugin: Hooked<CheckpointHooks>["plugin"];
    readonly collected: CollectedOfEach;
  }[];
}

/** The live children of each task that has any. */
type Children = ReadonlyMap<number, readonly FrozenTask[]>;

/** One thread's program and who waits for the results of what it makes besides. */
interface Collection {
  readonly thread: FrozenThread;
  readonly program: SyscallProgram;
  readonly listeners: readonly Listener[];
  /** The core's own. */
  readonly told: Collected | undefined;
}

/** Programs of some threads of a task. */
interface TaskCollections {
  readonly collections: readonly Collection[];
  readonly remote: RemoteTask;
}

/**
 * How many threads run their programs at the same time. Each needs memory in its task, and here until its results have
 * been taken.
 */
const TOGETHER = 256;

/** Runs the collect hooks: one program for each thread, those of many threads and tasks at the same time. */
function collect(
  tasks: readonly FrozenTask[],
  session: CheckpointSession,
  plugins: Plugins,
  tell: Tell,
): void {
  const common = collectCommon(plugins);
  const children = Map.groupBy(tasks, ({ proc }) => proc.stat.ppid);
  let lot: TaskCollections[] = [];
  let count = 0;
  const run = () => {
    const [first] = lot.flatMap(({ collections }) => collections);
    if (first !== undefined) {
      tell(`threads tell their state: ${count}, from ${first.thread.tid} on`, [first.program]);
    }
    const started = RemoteTask.startAll(lot.map(({ remote, collections }) => ({
      remote,
      runs: collections.map(({ thread, program }) => ({ thread: thread.tracee, program })),
    })));
    session.check();
    StartedRuns.awaitAll(started);
    lot.forEach(({ collections }, index) =>
      takeResults(collections, started[index] as StartedRuns, common, session)
    );
    lot = [];
    count = 0;
  };
  for (const { remote, threads } of tasks) {
    for (let at = 0; at < threads.length; at += TOGETHER) {
      // A task has room for one lot at a time.
      if (at > 0 || count >= TOGETHER) run();
      session.check();
      const collections = threads.slice(at, at + TOGETHER)
        .map((thread) => collectThread(thread, common, plugins, children))
        .filter(({ program }) => !program.isEmpty);
      if (collections.length === 0) continue;
      count += collections.length;
      lot.push({ collections, remote });
    }
  }
  run();
}

function takeResults(
  collections: readonly Collection[],
  runs: StartedRuns,
  common: Common,
  session: CheckpointSession,
): void {
  session.check();
  const replies = runs.finish();
  collections.forEach(({ thread, listeners, told }, index) => {
    const reply = replies[index] as ProgramReply;
    told?.(reply);
    for (const { plugin, collected } of common.listeners) {
      runHook(plugin, () => collected(thread, reply));
    }
    for (const { plugin, collected } of listeners) runHook(plugin, () => collected(reply));
  });
}

function collectCommon(plugins: Plugins): Common {
  const program = new SyscallProgram("the state of a thread");
  const listeners = plugins.flatMap(({ plugin, hooks }) => {
    const collected = runHook(plugin, () => hooks.collectThreads?.(program));
    return collected === undefined ? [] : [{ plugin, collected }];
  });
  return { program, listeners };
}

/** The calls of one thread: nearly always those of every thread and no more. */
function collectThread(
  thread: FrozenThread,
  common: Common,
  plugins: Plugins,
  children: Children,
): Collection {
  const program = new SyscallProgram(`the state of thread ${thread.tid}`);
  program.share(common.program.readonlyCalls);
  const listeners: Listener[] = [];
  const listen = (plugin: Listener["plugin"], collected: Collected | void): void => {
    if (collected !== undefined) listeners.push({ plugin, collected });
  };
  const isLeader = thread === thread.task.leader;
  const told = isLeader ? askReports(program, children.get(thread.task.pid) ?? []) : undefined;
  for (const { plugin, hooks } of plugins) {
    if (isLeader) {
      listen(plugin, runHook(plugin, () => hooks.collectTask?.(thread.task, program)));
    }
    listen(plugin, runHook(plugin, () => hooks.collectThread?.(thread, program)));
  }
  const hasOwn = program.readonlyCalls.length > common.program.readonlyCalls.length;
  return { thread, program: hasOwn ? program : common.program, listeners, told };
}

/** Writes all images but those of threads, memory contents and the inventory. */
export async function dump(
  tree: FrozenTree,
  session: CheckpointSession,
  plugins: Plugins,
  tell: Tell,
): Promise<void> {
  const { writer } = session;
  const ids = numberIds(tree.tasks);
  collect(tree.tasks, session, plugins, tell);
  tell("the descriptors");
  dumpDescriptors(tree.tasks, session, plugins, (task) => ids(task).filesId);
  for (const task of tree.tasks) {
    tell(`task ${task.pid} (${task.proc.stat.comm})`);
    for (const { plugin, hooks } of plugins) {
      if (hooks.dumpTask === undefined) continue;
      await session.breathe();
      await runHook(plugin, () => hooks.dumpTask?.(task));
    }
  }
  for (const { plugin, hooks } of plugins) {
    if (hooks.dumpTree === undefined) continue;
    tell(`what all have in common, of ${plugin.name}`);
    await runHook(plugin, () => hooks.dumpTree?.(tree));
  }
  // They are the same for all.
  const namespaces = namespaceIds(tree.tasks[0]?.proc.liveTid ?? 0);
  for (const task of tree.tasks) writer.write(IDS, task.pid, { ...ids(task), ...namespaces });
  for (const zombie of tree.zombies) writer.write(CORE, zombie.pid, zombieCore(zombie));
  writeTree(tree, writer);
}

/** Has the plugins note what has come meanwhile, and writes the core images. */
export function dumpLast(
  tree: FrozenTree,
  { writer, check }: CheckpointSession,
  plugins: Plugins,
): void {
  for (const { plugin, hooks } of plugins) {
    check();
    runHook(plugin, () => hooks.dumpLast?.(tree));
  }
  for (const { tid, core } of tree.tasks.flatMap(coresOf)) writer.write(CORE, tid, core);
}

/** Has the plugins find out what is only told of. */
export async function conclude(tree: SavedTree, plugins: Plugins): Promise<void> {
  for (const { plugin, hooks } of plugins) await runHook(plugin, () => hooks.conclude?.(tree));
}

function writeTree(tree: FrozenTree, writer: CheckpointSession["writer"]): void {
  const root = tree.tasks[0]?.pid;
  const live = new Map(tree.tasks.map((task) => [task.pid, task]));
  const all = [...tree.tasks.map(({ proc }) => proc), ...tree.zombies];
  writer.writeList(
    PSTREE,
    null,
    all.map((proc) => ({
      pid: proc.pid,
      ppid: proc.pid === root ? 0 : proc.stat.ppid,
      pgid: proc.stat.pgrp,
      sid: proc.stat.session,
      threads: live.get(proc.pid)?.threads.map(({ tid }) => tid) ?? [proc.pid],
    })),
  );
}

/** Numbers shared objects from 1, as CRIU does: equal numbers are one object. */
function numberIds(tasks: readonly FrozenTask[]) {
  const counter = (owner: (task: FrozenTask) => number): (task: FrozenTask) => number => {
    const numbers = new Map<number, number>();
    for (const task of tasks) {
      if (!numbers.has(owner(task))) numbers.set(owner(task), numbers.size + 1);
    }
    return (task) => numbers.get(owner(task)) as number;
  };
  const vm = counter((task) => task.memoryOwner);
  const files = counter((task) => task.filesOwner);
  const fs = counter((task) => task.fsOwner);
  const sighand = counter((task) => task.handlersOwner);
  return (task: FrozenTask) => ({
    vmId: vm(task),
    filesId: files(task),
    fsId: fs(task),
    sighandId: sighand(task),
  });
}

/**
 * Ids of namespaces. Tasks in other namespaces than the tool's are refused by the survey, so these are nearly all
 * the same; CRIU numbers them from 1 by kind. That of control groups has another one where it is not the tool's.
 */
export function namespaceIds(tid: number) {
  const own = ownNamespaces();
  const names = tid === Deno.pid ? own : readNamespaces(tid);
  const isOwnCgroup = own.cgroup !== undefined && own.cgroup === names.cgroup;
  return {
    pidNsId: 1,
    netNsId: 2,
    ipcNsId: IPC_NAMESPACE,
    utsNsId: 4,
    mntNsId: 5,
    userNsId: 6,
    cgroupNsId: names.cgroup === undefined ? undefined : isOwnCgroup ? 7 : 9,
    timeNsId: names.time === undefined ? undefined : 8,
  };
}
