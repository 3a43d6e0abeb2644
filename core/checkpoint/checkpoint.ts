/**
 * The checkpoint pipeline: survey, freeze, dump, pages, commit, release. Whatever is done to the target
 * is on one undo stack, so any failure in any phase leaves it as it was, running.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import { IMAGES_VERSION, IMAGES_VERSION_PLUGINS } from "../../images/kinds/core.ts";
import { PHASES } from "../../images/kinds/phases.ts";
import { ImageWriter } from "../../images/mod.ts";
import type { EventListener } from "../../base/events.ts";
import { collectGarbage, isMany } from "../garbage.ts";
import { Cancellation } from "../cancellation.ts";
import { type Hooked, makeSession, orderPlugins, runHook } from "../hooks.ts";
import { Guardian } from "../guardian/guardian.ts";
import { lockDirectory } from "../linux/flock.ts";
import { sleep } from "../linux/libc_ffi.ts";
import { Interruptions } from "../linux/interruptions.ts";
import { unlessGone } from "../linux/procfs/mod.ts";
import { syncFileSystem } from "../linux/sync.ts";
import { SMALL_FILES } from "../linux/small_files.ts";
import { Urgency } from "../linux/urgency.ts";
import { crc32 } from "../linux/x86_64/crc32_ffi.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  FrozenTask,
  FrozenTree,
  InventoryDraft,
  OperationOptions,
  Plugin,
  SavedTree,
} from "../plugin.ts";
import { StandIn } from "../remote/stand_in.ts";
import { tellSteps } from "../remote/steps.ts";
import type { Noted } from "../remote/undo.ts";
import { mappingClaims, onlyClaim } from "./claims.ts";
import { AheadOfFreeze } from "./copy_ahead.ts";
import { forgetDescriptorIds } from "./descriptor_ids.ts";
import { conclude, dump, dumpLast, namespaceIds } from "./dump.ts";
import { createFileTable } from "./file_table.ts";
import { finishing } from "./files_ahead.ts";
import { type CoreOf, coresOf, describeSaved } from "./frozen_tree.ts";
import { killTree } from "./kill.ts";
import { stopAll } from "../remote/stop_all.ts";
import { explainKilled } from "./killed.ts";
import { LinkRemaps, removeLinkRemap } from "./link_remaps.ts";
import { lookAtRunning } from "./look_at_running.ts";
import { StandingAgain } from "./standing_again.ts";
import { Shadows } from "./shadows.ts";
import { QuickMappings } from "./quick_mappings.ts";
import { standStill } from "./stand_still.ts";
import { findTree, refuse } from "./survey.ts";
import type { Task } from "./task.ts";
import type { MemoryTracking } from "./memory_tracking.ts";
import { openParent, sumOf } from "./parent.ts";
import { PhaseTimes, toMicroseconds } from "./phase_times.ts";
import { prepareEnd } from "./prepare_end.ts";
import { verifyRestorable } from "./verify_restorable.ts";
import { warmUp } from "./warm_up.ts";

/** For how long a tree may stand still before its memory is written, in milliseconds (as in CRIU). */
const TIMEOUT = 10_000;

/**
 * From this size on a tree may have more memory than is copied while it stands still, and get shadows: it is made ready
 * for them. Two thirds of what is copied unless something else is wanted, in bytes.
 */
const SHADOWED = 32 * 2 ** 20;

/** For how long it is waited for what passes, and how long the tree is left alone between two looks, in milliseconds. */
const SETTLE_PATIENCE = 2000, SETTLE_PAUSE = 2;

/** What a checkpoint is asked to do. */
export interface CheckpointRequest {
  /** The root of the tree. */
  readonly pid: number;
  /** The image directory to make; it must not exist, or be empty. */
  readonly directory: string;
  /** The image directory of the checkpoint before, to which what has not changed is left. */
  readonly parent?: string;
  /** Tells what has changed since the checkpoint before. */
  readonly tracking?: MemoryTracking;
  /** How many checkpoints may need each other; if there are so many, this one is whole again. */
  readonly longestChain?: number;
  /** All plugins. */
  readonly plugins: readonly Plugin[];
  /** Those of them that may be tried on a process of this tool's own before: they touch nothing else. */
  readonly warmedUp?: readonly Plugin[];
  /** Options of the user. */
  readonly options: OperationOptions;
  /** Cancels. */
  readonly signal: AbortSignal;
  /** Is told what happens. */
  readonly listener: EventListener;
}

/** What a checkpoint did. */
export interface CheckpointResult {
  /** The root of the tree. */
  readonly pid: number;
  /** The image directory, absolute. */
  readonly directory: string;
  /** How many processes were saved, zombies included. */
  readonly tasks: number;
  /** How many threads. */
  readonly threads: number;
  /** The size of all images in bytes. */
  readonly bytes: bigint;
  /** The image directory, absolute, that is needed besides this one: what has not changed is in it. */
  readonly parent?: string;
  /** For how long the tree stood still, in milliseconds; until it was killed, if it was. */
  readonly frozenMs: number;
  /** How long it all took, in milliseconds. */
  readonly totalMs: number;
  /** Pids that are still taken after the kill, by zombies that their parents have not reaped yet. */
  readonly taken: readonly number[];
}

/** Runs a checkpoint. @throws {StasisError} the target then runs on as it was, and no directory is left */
export async function runCheckpoint(request: CheckpointRequest): Promise<CheckpointResult> {
  const { pid } = request;
  const times = new PhaseTimes();
  const listener = times.before(request.listener);
  const tell = tellSteps(listener);
  // What is known of this operation alone is kept by this object.
  const options = { ...request.options };
  const cancellation = new Cancellation(request.signal);
  const begin = performance.now();
  const plugins = orderPlugins(request.plugins);
  const enter = async (phase: Parameters<EventListener>[0] & { kind: "phase" }): Promise<void> => {
    listener(phase);
    await cancellation.breathe();
  };

  const required = new Set<string>();
  /** What cannot be saved, of what shows only while the tree stands still. */
  const found: Problem[] = [];
  const drafted: InventoryDraft = {};
  const hooked: Hooked<CheckpointHooks>[] = [];
  const claimMapping: CheckpointSession["mappingDumper"] = (vma, task) =>
    onlyClaim(mappingClaims(vma, task, hooked), `a mapping of task ${task.pid}`).offered;

  await enter({ kind: "phase", phase: "survey" });
  const isToEnd = options.leaveRunning !== true;
  // One that is left stopped has time until its images are safe.
  const runsOn = !isToEnd && options.leaveStopped !== true;
  request.tracking?.remembered.turn();
  const parent = request.parent === undefined ? undefined : openParent(
    request.parent,
    pid,
    request.longestChain,
    (text) => listener({ kind: "note", plugin: "core", text }),
    request.tracking?.remembered,
  );
  let tasks = findTree(pid, isToEnd);
  const [root] = tasks as [Task];
  await using writer = ImageWriter.create(request.directory, {
    sync: (directory) => syncFileSystem(directory, () => cancellation.check()),
    lock: lockDirectory,
    removeName: removeLinkRemap,
    step: () => cancellation.breathe(),
    crc32,
    small: SMALL_FILES,
  });
  for (const path of writer.removed) {
    const text = `removed ${path}, which a checkpoint that was killed had left`;
    listener({ kind: "note", plugin: "core", text });
  }
  using links = new LinkRemaps((name) => writer.noteOutside(name));
  const files = createFileTable(writer, links);
  using shadows = new Shadows(
    cancellation,
    (text) => listener({ kind: "note", plugin: "core", text }),
  );
  for (const plugin of plugins) {
    if (plugin.checkpoint === undefined) continue;
    const session: CheckpointSession = {
      ...makeSession(plugin, listener, cancellation, options),
      writer,
      files,
      inventory: drafted,
      parent,
      tracking: request.tracking,
      requirePlugin: () => void required.add(plugin.name),
      problem: (one) => void found.push({ ...one, plugin: plugin.name }),
      mappingDumper: claimMapping,
      shadows: runsOn && options.snapshot === true ? shadows : undefined,
    };
    const hooks = runHook(plugin, () => plugin.checkpoint?.(session) ?? {});
    hooked.push({ plugin, hooks });
  }
  using quick = new QuickMappings(tasks);
  const looked = await lookAtRunning(request, isToEnd, hooked, cancellation, quick);
  const { ahead, resident, count, tasks: surveyed } = looked;
  // When the tree runs again.
  await using _reading = finishing(ahead);

  const maySnapshot = options.copyLimit !== undefined || options.copyAheadFrom !== undefined ||
    resident >= SHADOWED;
  const isSnapshot = runsOn && options.snapshot === true && maySnapshot;
  // Where changes are told already, or are to be found by comparing, nothing else is to look for them.
  const isTracked = request.tracking !== undefined && options.compare !== true;
  const mayCopyAhead = isSnapshot && parent === undefined && !isTracked;
  if (!mayCopyAhead) surveyed.length = 0;
  if (isSnapshot) await shadows.awaitReaped();
  writer.hold();
  // Somebody may kill the tree meanwhile.
  using _ = new Interruptions();
  using standIn = startStandIn(tasks, hooked);
  using guardian = Guardian.start(tasks.map((task) => task.pid), standIn);
  // What has been read of thousands of them is read again when they stand still.
  tasks = [];
  if (!isToEnd) {
    // A tried shadow is an orphan as well, which the first process here must not get where it is in the tree.
    const snapshot = isSnapshot && shadows.arePossible && pid !== 1;
    await warmUp(request.warmedUp ?? [], { ...options, snapshot }, guardian, request.signal);
  }
  await using copying = new AheadOfFreeze({
    root: { pid, startTime: root.stat.startTime },
    threads: count,
    plugins,
    options,
    hooked,
    startRescuer: (pid) => Guardian.start([pid], standIn),
    cancellation,
    timeout: options.timeout ?? TIMEOUT,
    quick,
    detail: (text) => listener({ kind: "detail", plugin: "core", text }),
  });
  if (mayCopyAhead) await copying.run(surveyed);
  surveyed.length = 0;
  using quiesced = new DisposableStack();
  await quiesce(hooked, quiesced, cancellation);
  collectGarbage(count);
  await enter({ kind: "phase", phase: "freeze" });
  using urgency = new DisposableStack();
  // A tree that is ended waits for nobody.
  if (runsOn) urgency.use(new Urgency(count));
  const frozenAt = performance.now();
  let frozenMs = 0;
  let saved: SavedTree;
  let size: Pick<CheckpointResult, "tasks" | "threads">;
  let bytes: bigint;
  let taken: number[] = [];
  /** What stands still. */
  let still: readonly Task[] = [];
  using undo = new DisposableStack();
  const { timeout = TIMEOUT } = options;
  const limitTo = (ms: number) =>
    cancellation.limit(timeout === 0 ? Infinity : ms, () => tooSlow(pid, timeout));
  const limit = limitTo(timeout);
  try {
    const noted = new Map<number, Noted>();
    let tree: FrozenTree = await standStill(
      pid,
      hooked,
      { rescuer: guardian, undo, cancellation, tell },
      (frozen) => {
        requireSame(root, frozen[0] as Task);
        still = frozen;
        for (const task of frozen) {
          if (quick.has(task.pid)) task.readMappingsBy((one) => quick.read(one));
        }
        for (const { pid } of frozen) noted.set(pid, guardian.noteProcess(pid));
      },
      ahead,
    );
    saved = describeSaved(tree);
    const threads = tree.tasks.reduce((sum, task) => sum + task.threads.length, 0);
    size = { tasks: tree.tasks.length + tree.zombies.length, threads };

    await enter({ kind: "phase", phase: "dump" });
    const session: CheckpointSession = {
      ...makeSession({ name: "core", description: "" }, listener, cancellation, options),
      writer,
      files,
      inventory: drafted,
      requirePlugin: () => {},
      problem: (one) => void found.push({ ...one, plugin: "core" }),
      mappingDumper: claimMapping,
    };
    await dump(tree, session, hooked, tell);
    // Megabytes of it are wanted no more.
    ahead[Symbol.dispose]();
    if (isMany(count)) {
      forgetDescriptorIds(writer);
      for (const { proc } of tree.tasks) proc.forgetWritten();
    }
    if (found.length > 0) throw refuse((tree.tasks[0] as FrozenTask).proc, found);
    // Memory takes as long as it takes, as long as it goes on; the user may cancel.
    limit[Symbol.dispose]();
    const left = timeout - (performance.now() - frozenAt);

    await enter({ kind: "phase", phase: "pages" });
    for (const { plugin, hooks } of hooked) {
      if (hooks.pages === undefined) continue;
      tell(`the pages of ${plugin.name}`);
      await runHook(plugin, () => hooks.pages?.(tree));
    }
    cancellation.check();
    // A tree that is killed must not lose what comes while gigabytes go to the disk.
    if (isToEnd) {
      tell("what is written is put on the disk");
      await writer.flush();
    }
    /**
     * Plugins conclude while the images are read back; of two failures that of the images is told.
     *
     * @param unwritten the core images that are not written yet
     */
    const verifyBeside = async (
      last: ReturnType<typeof inventory>,
      unwritten: readonly CoreOf[] = [],
    ): Promise<void> => {
      tell("the images are read back, and their restore is planned");
      const concluded = conclude(saved, hooked);
      // Of thousands of tasks that run again nothing is kept beside the plan.
      if (runsOn && isMany(count)) {
        await concluded;
        saved = { tasks: [], zombies: [] };
        hooked.length = 0;
      }
      const verified = verifyRestorable({
        ...request,
        writer,
        count,
        unwritten,
        inventory: last,
        before: parent,
        cancellation,
      });
      // Nothing may go on when the operation has failed; and neither may fail unheard while the other goes on.
      const results = await Promise.allSettled([verified, concluded]);
      for (const result of results) if (result.status === "rejected") throw result.reason;
    };
    if (isToEnd) {
      using _limit = limitTo(left);
      await verifyBeside(inventory(required, drafted), tree.tasks.flatMap(coresOf));
    }
    dumpLast(tree, session, hooked);
    const last = inventory(required, drafted);

    // A tree that runs on need not wait for the disk: if the commit fails, nothing is lost.
    const release = (): void => {
      listener({ kind: "phase", phase: "release" });
      undo.dispose();
      quiesced.dispose();
      frozenMs = performance.now() - frozenAt;
      urgency.dispose();
      still = [];
      // What is known of thousands of threads, which is needed no more, makes room for the plan of their restore.
      tree = { tasks: [], zombies: [] };
      // It has nothing to undo any more, and nobody to end.
      guardian[Symbol.dispose]();
      noted.clear();
    };
    if (runsOn) {
      shadows.watch();
      release();
      const { stat: { startTime } } = root;
      using again = new StandingAgain({ pid, startTime }, count, hooked, cancellation);
      shadows.begin(options.snapshotLimit, () => again.begin());
      for (const { plugin, hooks } of hooked) await runHook(plugin, () => hooks.pagesLater?.());
      shadows[Symbol.dispose]();
      frozenMs += again.end() + copying.stoodStill;
    }
    await enter({ kind: "phase", phase: "commit" });
    if (!isToEnd) await verifyBeside(last);
    // Past the commit a tree that is to end is ended whole, whoever does it.
    if (isToEnd) guardian.endTreeIf(writer.committed);
    // And one that is to be left stopped is so whole.
    else if (!runsOn) {
      const stopped = tree.tasks.map(({ pid, leader: { tid } }) => ({ pid, tid }));
      guardian.stopTreeIf(writer.committed, stopped);
    }
    writer.writeList(PHASES, null, times.ended);
    tell("what is left is put on the disk, and gets its name");
    bytes = await writer.commit(last);
    request.tracking?.succeeded(sumOf(writer.target));
    links.keep();
    if (!isToEnd && !runsOn) {
      stopAll(tree.tasks.map(({ pid }) => pid));
      release();
    }
    if (isToEnd) {
      listener({ kind: "phase", phase: "release" });
      for (const error of prepareEnd(tree, hooked)) {
        const text = `the tree is ended, but was not made ready for it: ${error.message}`;
        listener({ kind: "note", plugin: error.plugin ?? "core", text });
      }
      tell(`the tasks are ended: ${tree.tasks.length}`);
      taken = killTree(tree, (ended) => noted.get(ended)?.erase());
      still = [];
      frozenMs = performance.now() - frozenAt;
    }
  } catch (error) {
    request.tracking?.failed();
    cancellation.end();
    // Who has been killed is told by what is there now.
    ahead[Symbol.dispose]();
    throw await explainKilled(shadows.explain(error), still);
  }
  return {
    pid,
    directory: writer.target,
    ...size,
    bytes,
    parent: writer.hasParent ? parent?.images.path : undefined,
    frozenMs: toMicroseconds(frozenMs),
    totalMs: toMicroseconds(performance.now() - begin),
    taken,
  };
}

/** @throws {StasisError} `no-such-task` where the root has ended since it was looked at, and another one has its id */
function requireSame(root: Task, frozen: Task): void {
  // Whichever thread executes a program, the process keeps the time of its start (de_thread() of fs/exec.c).
  if (root.stat.startTime === frozen.stat.startTime) return;
  const { pid } = root;
  throw new StasisError("no-such-task", `task ${pid} (${root.stat.comm}) has ended meanwhile`, {
    pid,
    hint: "another process has its id now, and runs on: look whether it is the one that you mean",
  });
}

/** Has the plugins wait for what passes. @param undo gets what they keep away until the tree runs again, or has ended */
async function quiesce(
  hooked: readonly Hooked<CheckpointHooks>[],
  undo: DisposableStack,
  cancellation: Cancellation,
): Promise<void> {
  const settle = async (look: (elapsed: number) => boolean): Promise<boolean> => {
    const begin = performance.now();
    for (;;) {
      const elapsed = performance.now() - begin;
      if (look(elapsed)) return true;
      if (elapsed >= SETTLE_PATIENCE) return false;
      await sleep(SETTLE_PAUSE);
      cancellation.check();
    }
  };
  for (const { plugin, hooks } of hooked) {
    await runHook(plugin, () => hooks.quiesce?.({ undo, settle }));
  }
}

/** Starts a stand-in where calls may have to be made that none but it can make without harm if this process dies. */
function startStandIn(
  tasks: readonly Task[],
  hooked: readonly Hooked<CheckpointHooks>[],
): StandIn | undefined {
  const mayNeedTracer = (task: Task) =>
    hooked.some(({ plugin, hooks }) => runHook(plugin, () => hooks.mayNeedTracer?.(task)));
  // Children that have ended since need nothing any more.
  const needsOne = tasks.some((task) => unlessGone(() => mayNeedTracer(task), false));
  return needsOne ? StandIn.start() : undefined;
}

function tooSlow(pid: number, timeout: number): StasisError {
  const seconds = timeout / 1000;
  return new StasisError("timeout", `the tree of task ${pid} could not be saved in ${seconds} s`, {
    pid,
    hint: "it runs on as it was; allow it to stand still for longer (--timeout), or try again",
  });
}

function inventory(
  required: ReadonlySet<string>,
  drafted: Readonly<InventoryDraft>,
) {
  const uptime = Deno.readTextFileSync("/proc/uptime").split(" ")[0] ?? "0";
  return {
    ...drafted,
    imgVersion: required.size > 0 ? IMAGES_VERSION_PLUGINS : IMAGES_VERSION,
    fdinfoPerId: true,
    nsPerId: true,
    rootIds: { vmId: 0, filesId: 0, fsId: 0, sighandId: 0, ...namespaceIds(Deno.pid) },
    dumpUptime: BigInt(Math.round(Number(uptime) * 1e6)),
    pluginsEntry: { plugins: [...required].sort() },
  };
}
