/**
 * The load and plan phases: reads and checks all images, then lets the core and the plugins plan.
 *
 * @module
 */
import { type core_entry, core_entry_march } from "../../images/gen/thread_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import { TASK_DEAD } from "../../images/flags.ts";
import {
  CORE,
  IDS,
  IMAGES_VERSION,
  IMAGES_VERSION_PLUGINS,
  INVENTORY,
  PSTREE,
} from "../../images/kinds/core.ts";
import { ImageDirectory } from "../../images/mod.ts";
import { SharedParts } from "../../images/share_core.ts";
import { type Problem, StasisError } from "../../base/errors.ts";
import { collectAmong, collectGarbage } from "../garbage.ts";
import type { EventListener } from "../../base/events.ts";
import type { Cancellation } from "../cancellation.ts";
import { CallPool } from "../remote/call_pool.ts";
import { unmatchedRemaps } from "../contract/remap.ts";
import { type Hooked, makeSession, orderPlugins, runHook } from "../hooks.ts";
import { pageAlign } from "../linux/address.ts";
import { readStat, requireOwnProc } from "../linux/procfs/mod.ts";
import { SMALL_FILES } from "../linux/small_files.ts";
import { crc32 } from "../linux/x86_64/crc32_ffi.ts";
import type { Machine, OperationOptions, Plugin, RestoreHooks, RestoreSession } from "../plugin.ts";
import { findAbsent } from "./absent_files.ts";
import type { AbsentFiles } from "./ghosts.ts";
import { type BirthPlan, planBirths, type TreeTask } from "./births.ts";
import { addThreads } from "./clone.ts";
import { deadTaskProblems } from "./dead_tasks.ts";
import { planDescriptors, readDescriptors } from "./descriptors.ts";
import { restoredFiles } from "./files.ts";
import { findHole, type Range } from "./layout.ts";
import { DESCRIPTOR_HINT, type PlanBasis, RestorePlan, SCRATCH_ROOM } from "./plan.ts";
import { type Owners, PlannedTask } from "./planned_task.ts";
import { PlannedThread } from "./planned_thread.ts";
import { freePids, unusedIds } from "./free_pids.ts";
import { INIT } from "./pid_namespace.ts";
import { findServiceRange } from "./service_numbers.ts";
import { checkPrivileges, needsUserNamespace } from "./id_privileges.ts";
import { readMachine } from "./machine.ts";
import { MadeDirectories } from "./made_directories.ts";
import { mappingPlanner } from "./mappings.ts";
import { takenProblems } from "./taken_ids.ts";
import { readTreeClocks } from "./tree_clocks.ts";
import { validateTree } from "../../images/validate_tree.ts";

/** What planning needs. */
export interface PlanRequest {
  /** The image directory. */
  readonly directory: string;
  /** All plugins. */
  readonly plugins: readonly Plugin[];
  /** Options of the user. */
  readonly options: OperationOptions;
  /** Ends it before its time; of a checkpoint its own, since a tree may stand still meanwhile. */
  readonly cancellation: Cancellation;
  /** Is told what happens. */
  readonly listener: EventListener;
  /** Images of a tree that still lives, which a checkpoint looks at, in place of those of `directory`. */
  readonly rehearsed?: ImageDirectory;
}

/** Versions of images that can be restored. Version 1 has another framing, which no CRIU has written since 2014. */
const KNOWN_VERSIONS: ReadonlySet<number> = new Set([IMAGES_VERSION, IMAGES_VERSION_PLUGINS]);

/** From so many tasks on it is worth looking which calls they make alike. */
const MANY = 200;

/** Loads and plans. @throws {StasisError} with all problems at once; nothing has been created then */
export async function makePlan(request: PlanRequest): Promise<RestorePlan> {
  const { listener, options, cancellation } = request;
  listener({ kind: "phase", phase: "load" });
  const images = request.rehearsed ??
    ImageDirectory.open(request.directory, { crc32, small: SMALL_FILES });
  if (request.rehearsed === undefined) images.verify();
  const plugins = orderPlugins(request.plugins);
  checkInventory(images, plugins);
  const { tasks, cores, readCore } = readTree(images, cancellation);
  collectGarbage(tasks.length);
  const files = restoredFiles(images, options);
  const rehearsal = request.rehearsed !== undefined;
  const machine = readMachine(rehearsal, !rehearsal && needsUserNamespace(options));
  if (!rehearsal) {
    requireOwnProc();
    checkPrivileges(machine, options);
  }
  const note = (text: string): void => listener({ kind: "note", plugin: "core", text });
  if (machine.userNamespace) {
    note(
      "without CAP_SYS_ADMIN the tree gets a user namespace of its own as well, in which no program can become " +
        "another user",
    );
  }
  const clocks = readTreeClocks(images, machine.privileges.caps.effective, options.timeNamespace);
  const made = new MadeDirectories();
  const hooked: Hooked<RestoreHooks>[] = plugins.flatMap((plugin): Hooked<RestoreHooks>[] => {
    if (plugin.restore === undefined) return [];
    const session: RestoreSession = {
      ...makeSession(plugin, listener, cancellation, options),
      images,
      machine,
      clocks,
      rehearsal,
      willMake: (directory) => made.add(directory),
      isMade: (path) => made.has(path),
      mappingPlanner: (vma, mm) => mappingPlanner(vma, mm, hooked),
    };
    return [{ plugin, hooks: runHook(plugin, () => plugin.restore?.(session) ?? {}) }];
  });
  const live = tasks.filter(({ pid }) => !isDead(cores, pid));
  const absent = findAbsent({
    images,
    files,
    tasks,
    rehearsal,
    isApart: options.newPidNamespace === true,
    note,
  });
  const gone = [...absent.dead.values()];
  for (const pid of gone) made.add(`/proc/${pid}`);
  const taken = new Set([
    ...tasks.flatMap(({ pid, pgid, sid, threads }) => [pid, pgid, sid, ...threads]),
    ...gone,
  ]);
  const owners = findOwners(images, live);
  const signalOf = ({ pid, ppid }: pstree_entry) =>
    ppid === 0 ? undefined : firstAnswer(hooked, (hooks) => hooks.exitSignal?.(pid));
  const births = planBirths(
    tasks.map((entry) => treeTask(entry, owners, signalOf(entry))),
    options.newPidNamespace ? unusedIds(taken) : freePids(taken),
  );
  const problems: Problem[] = births.problems.map((one) => ({ ...one, plugin: "core" }));
  if (options.newPidNamespace) problems.push(...apartProblems(births));
  const needed = new Set([
    ...tasks.map(({ pid }) => pid),
    ...live.flatMap(threadsOf),
    ...births.helpers.map(({ pid }) => pid),
    ...options.newPidNamespace ? [INIT] : [],
  ]);
  problems.push(...deadTaskProblems(gone, needed, (tasks[0] as pstree_entry).pid));
  for (const { plugin, hooks } of hooked) {
    if (hooks.load === undefined) continue;
    const problem = (one: Omit<Problem, "plugin">) =>
      void problems.push({ ...one, plugin: plugin.name });
    await cancellation.breathe();
    await runHook(plugin, () => hooks.load?.({ tasks, problem }));
  }
  for (const from of unmatchedRemaps(options)) {
    problems.push({
      plugin: "core",
      what: `--remap names ${from}, and the images have nothing at or below that path`,
      hint: "stasis inspect tells the paths that they have",
    });
  }
  if (problems.length > 0) {
    // Who mends what stands against a restore wants to hear at once what stands against it, too.
    const taken = rehearsal || options.newPidNamespace ? [] : takenProblems(needed);
    throw refuse(images, [...problems, ...taken]);
  }
  noteOutside(tasks, note);

  collectGarbage(tasks.length);
  listener({ kind: "phase", phase: "plan" });
  return planAll(
    {
      images,
      machine,
      options,
      files,
      hooked,
      tasks,
      live,
      cores,
      readCore,
      births,
      owners,
      absent,
      note,
      rehearsal,
    },
    cancellation,
  );
}

/** Images that have been read, and what has been found out about them. */
interface LoadedTree {
  readonly images: ImageDirectory;
  readonly machine: Machine;
  readonly options: OperationOptions;
  readonly files: ReturnType<typeof restoredFiles>;
  readonly hooked: readonly Hooked<RestoreHooks>[];
  /** All tasks, and those that live. */
  readonly tasks: readonly pstree_entry[];
  readonly live: readonly pstree_entry[];
  /** The core images of first threads. */
  readonly cores: ReadonlyMap<number, core_entry>;
  /** Reads that of another thread. */
  readonly readCore: (tid: number) => core_entry;
  readonly births: RestorePlan["births"];
  readonly owners: ReadonlyMap<number, Owners>;
  readonly absent: AbsentFiles;
  readonly note: (text: string) => void;
  readonly rehearsal: boolean;
}

function planAll(loaded: LoadedTree, cancellation: Cancellation): RestorePlan {
  const { images, machine, options, files, hooked, live, cores, births } = loaded;
  const occupied: Range[] = [];
  for (const { plugin, hooks } of hooked) {
    for (const { pid } of live) {
      cancellation.check();
      for (const range of runHook(plugin, () => hooks.occupies?.(pid)) ?? []) occupied.push(range);
    }
  }
  const last = machine.vdso.at(-1);
  const vdsoSize = last === undefined ? 0n : last.offset + pageAlign(last.size);
  const hole = findHole(occupied, SCRATCH_ROOM + vdsoSize);
  const plan = new RestorePlan({
    images,
    machine,
    options,
    files,
    births,
    hole,
    plugins: hooked,
    ...findServices(images, live, machine, hooked),
  });
  const readCore = (tid: number) => cores.get(tid) ?? loaded.readCore(tid);
  // What is planned in a rehearsal is not kept.
  const pool = !loaded.rehearsal && live.length >= MANY ? new CallPool() : undefined;
  for (const entry of live) {
    const core = cores.get(entry.pid) as core_entry;
    const task = new PlannedTask(plan, entry, core, loaded.owners.get(entry.pid) as Owners);
    const status = firstAnswer(hooked, (hooks) => hooks.leaderStatus?.(entry.pid));
    for (const tid of threadsOf(entry)) {
      const thread = new PlannedThread(tid, task, readCore, pool);
      if (tid === entry.pid && status !== undefined) task.ended = { thread, status };
      else task.addThread(thread);
    }
    if (task.threads.length === 0) {
      throw new StasisError(
        "bad-image",
        `${images.path} has no thread of task ${entry.pid} that lives`,
      );
    }
    plan.addTask(task);
  }
  files.planGhosts(plan, loaded.absent, loaded.note);
  return complete(plan, loaded, cancellation);
}

/** What plugins need at the most beside the descriptors of the tasks: shared memory, pages files and the like. */
const OTHER_SERVICES = 4096;

/** @throws {StasisError} `conflict` if the tasks have numbers that nobody may have here */
function findServices(
  images: ImageDirectory,
  live: readonly pstree_entry[],
  { descriptorLimit }: Machine,
  hooked: readonly Hooked<RestoreHooks>[],
): Pick<PlanBasis, "services" | "highestDescriptor"> {
  const used = new Set<number>();
  for (const { plugin, hooks } of hooked) {
    for (const number of runHook(plugin, () => hooks.numbers?.()) ?? []) {
      if (number >= descriptorLimit) {
        const message =
          `descriptor ${number} was in use once, and ${descriptorLimit} may be open here`;
        throw new StasisError("conflict", message, { hint: DESCRIPTOR_HINT });
      }
      used.add(number);
    }
  }
  let most = 0;
  for (const { pid } of live) {
    const table = readDescriptors(images, pid);
    const highest = table.at(-1)?.fd ?? 0;
    if (highest >= descriptorLimit) {
      const message =
        `task ${pid} has descriptor ${highest}, and ${descriptorLimit} may be open here`;
      throw new StasisError("conflict", message, { pid, hint: DESCRIPTOR_HINT });
    }
    for (const { fd } of table) used.add(fd);
    most = Math.max(most, table.length);
  }
  // In the stage "share" a task has those that it made itself, and those that it got from others.
  const wanted = 2 * most + live.length + OTHER_SERVICES;
  return {
    services: findServiceRange(used, descriptorLimit, wanted),
    highestDescriptor: [...used].reduce((a, b) => Math.max(a, b), -1),
  };
}

function complete(
  plan: RestorePlan,
  { tasks, cores, rehearsal }: LoadedTree,
  cancellation: Cancellation,
): RestorePlan {
  for (const { pid } of tasks) {
    if (isDead(cores, pid)) plan.zombies.set(pid, cores.get(pid) as core_entry);
  }
  for (const { plugin, hooks } of plan.plugins) {
    cancellation.check();
    runHook(plugin, () => hooks.planTree?.(plan));
  }
  for (const [index, task] of plan.tasks.entries()) {
    collectAmong(tasks.length, index);
    planThreads(task);
    for (const { plugin, hooks } of plan.plugins) runHook(plugin, () => hooks.planTask?.(task));
    for (const thread of task.threads) {
      cancellation.check();
      // Before a plugin asks for it, which would be blamed for what is wrong with it.
      thread.load();
      for (const { plugin, hooks } of plan.plugins) {
        runHook(plugin, () => hooks.planThread?.(thread));
      }
      if (rehearsal) thread.keepSizesAlone();
      else thread.settle();
    }
    // Nobody arms the threads of a rehearsal.
    if (rehearsal) task.core.threadInfo = undefined;
    // What is planned takes its place.
    plan.images.forget(task.pid);
  }
  planDescriptors(plan, cancellation);
  for (const { allThreads } of plan.tasks) for (const thread of allThreads) thread.settle();
  // It is found out here what has no room, while nothing has been made yet.
  plan.scratchSize();
  collectGarbage(tasks.length);
  return plan;
}

/** All threads but the leader are made by it, in one program. */
function planThreads(task: PlannedTask): void {
  const tids = task.madeThreads.map(({ tid }) => tid);
  if (tids.length > 0) addThreads(task.program("threads"), tids);
}

/** Whether these images are of a version that is known, and all plugins are here that they need. */
function checkInventory(images: ImageDirectory, plugins: readonly Plugin[]): void {
  const { imgVersion, pluginsEntry } = images.read(INVENTORY, null);
  if (!KNOWN_VERSIONS.has(imgVersion)) {
    throw new StasisError(
      "unsupported",
      `the images in ${images.path} are of version ${imgVersion}, which is not known here`,
      { hint: "a newer version of what made them may read them" },
    );
  }
  const known = new Set(plugins.map(({ name }) => name));
  const needed = pluginsEntry?.plugins ?? [];
  const missing = needed.filter((name) => !known.has(name));
  if (missing.length === 0) return;
  throw new StasisError(
    "unsupported",
    `the images in ${images.path} need a plugin that is not here: ${missing.join(", ")}`,
    { hint: "name it with --plugin: without it state would be lost" },
  );
}

/** Reads the tree, and the core image of every task. */
function readTree(images: ImageDirectory, cancellation: Cancellation) {
  const tasks = images.readList(PSTREE, null);
  const read = coreReader(images);
  const cores = new Map<number, core_entry>();
  for (const { pid } of tasks) {
    cancellation.check();
    const core = read(pid);
    if (core.tc === undefined) {
      throw new StasisError("bad-image", `${images.path}/core-${pid}.img has no task state`);
    }
    cores.set(pid, core);
  }
  validateTree(tasks, (pid) => isDead(cores, pid), images.pathOf(PSTREE, null));
  return { tasks, cores, readCore: read };
}

/** What reads and checks the core image of a thread: whoever asks keeps it. */
function coreReader(images: ImageDirectory): (tid: number) => core_entry {
  const parts = new SharedParts();
  return (tid) => {
    const [located] = images.locate(CORE, tid);
    const { message: core } = located as NonNullable<typeof located>;
    if (core.mtype !== core_entry_march.X86_64) {
      throw new StasisError(
        "bad-image",
        `thread ${tid} in ${images.path} is of another architecture (${
          core_entry_march[core.mtype]
        })`,
        { hint: "restore it on a machine of that architecture" },
      );
    }
    parts.share(core);
    return core;
  };
}

/** The tids of a task, its own first. */
function threadsOf({ pid, threads }: pstree_entry): number[] {
  return [pid, ...threads.filter((tid) => tid !== pid)];
}

function isDead(cores: ReadonlyMap<number, core_entry>, pid: number): boolean {
  return cores.get(pid)?.tc?.taskState === TASK_DEAD;
}

/** Which task is the first of those with the same object. */
function findOwners(images: ImageDirectory, tasks: readonly pstree_entry[]): Map<number, Owners> {
  const owners = new Map<number, Owners>();
  const first = new Map<string, number>();
  const owner = (pid: number, key: "filesId" | "vmId" | "sighandId" | "fsId"): number => {
    if (!images.has(IDS, pid)) return pid;
    const id = `${key} ${images.read(IDS, pid)[key]}`;
    if (!first.has(id)) first.set(id, pid);
    return first.get(id) as number;
  };
  for (const { pid } of tasks) {
    owners.set(pid, {
      files: owner(pid, "filesId"),
      memory: owner(pid, "vmId"),
      handlers: owner(pid, "sighandId"),
      fs: owner(pid, "fsId"),
    });
  }
  return owners;
}

/** What cannot be in a pid namespace of its own: from there nobody can name the group that was outside. */
function apartProblems({ groups }: BirthPlan): Problem[] {
  return groups.flatMap(([pid, { kind }]) =>
    kind !== "follow" ? [] : [{
      pid,
      plugin: "core",
      what: "it has led a process group, and is in one now that is outside of the tree",
      hint: "restore it without a pid namespace of its own",
    }]
  );
}

function treeTask(
  { pid, ppid, pgid, sid }: pstree_entry,
  all: ReadonlyMap<number, Owners>,
  exitSignal: number | undefined,
): TreeTask {
  const owners = all.get(pid);
  const dead = owners === undefined;
  return {
    pid,
    ppid,
    pgid,
    sid,
    dead,
    filesOwner: owners?.files,
    fsOwner: owners?.fs,
    memoryOwner: owners?.memory,
    handlersOwner: owners?.handlers,
    exitSignal,
  };
}

/** What the first plugin says that says anything. */
function firstAnswer<T>(
  hooked: readonly Hooked<RestoreHooks>[],
  ask: (hooks: RestoreHooks) => T | undefined,
): T | undefined {
  for (const { plugin, hooks } of hooked) {
    const answer = runHook(plugin, () => ask(hooks));
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** Tells where the root gets a session and group in place of those that were outside of the tree. */
function noteOutside(tasks: readonly pstree_entry[], note: (text: string) => void): void {
  const [root] = tasks as [pstree_entry];
  const { session, pgrp } = readStat(Deno.pid);
  const others: string[] = [];
  if (root.sid !== root.pid && root.sid !== session) others.push(`session ${root.sid}`);
  if (!tasks.some(({ pid }) => pid === root.pgid) && root.pgid !== pgrp) {
    others.push(`process group ${root.pgid}`);
  }
  if (others.length === 0) return;
  const are = others.length === 1 ? "is" : "are";
  note(
    `${others.join(" and ")} of task ${root.pid} ${are} outside of the tree: it gets this tool's`,
  );
}

function refuse(images: ImageDirectory, problems: readonly Problem[]): StasisError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new StasisError("conflict", `${images.path} cannot be restored here: ${count}`, {
    problems,
  });
}
