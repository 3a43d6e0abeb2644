/**
 * The warm-up: all that a freeze executes, executed once before on a process of this tool's own. V8 compiles what
 * it meets for the first time, which takes five times as long as to run it, and a target would stand still meanwhile.
 *
 * @module
 */
import { Cancellation } from "../cancellation.ts";
import { RescueNotes } from "../guardian/rescue_notes.ts";
import { orderPlugins, runHook } from "../hooks.ts";
import { SIG } from "../linux/signals.ts";
import { ReadAhead } from "../linux/x86_64/read_ahead_ffi.ts";
import type { OperationOptions, Plugin } from "../plugin.ts";
import { SyscallProgram } from "../remote/program.ts";
import { endSeed, openSeed, PR_SET_PDEATHSIG, startSeed } from "../remote/seed.ts";
import type { Rescuer } from "../remote/undo.ts";
import { dump, dumpLast } from "./dump.ts";
import { filesAhead, finishing } from "./files_ahead.ts";
import { Shadows } from "./shadows.ts";
import { standStill } from "./stand_still.ts";
import { Task } from "./task.ts";
import { UnsavedHooks } from "./unsaved_hooks.ts";

const ALL_DESCRIPTORS = 0xffffffff;
const O_RDWR = 2;

/** What is compiled stays so for as long as this process lives. */
let isCompiled = false;

/**
 * Warms up for the first freeze of this process. Whatever fails here fails there again, where it matters, and is told
 * of then.
 *
 * @param plugins those that do nothing outside of the tasks that they are given
 * @param rescuer of the operation, which is told nothing of the double
 */
export async function warmUp(
  plugins: readonly Plugin[],
  options: OperationOptions,
  rescuer: Rescuer,
  signal: AbortSignal,
): Promise<void> {
  if (isCompiled || plugins.length === 0) return;
  isCompiled = true;
  let pid: number | undefined;
  try {
    pid = startDouble();
    await freezeDouble(pid, plugins, options, notingNothing(rescuer), new Cancellation(signal));
  } catch {
    // As good as it got.
  } finally {
    if (pid !== undefined) endSeed(pid);
  }
}

/** A process with some descriptors that runs by itself, and dies with this one. */
function startDouble(): number {
  const seed = startSeed(undefined, ["stasis-warm-up"]);
  try {
    using remote = openSeed(seed);
    const program = new SyscallProgram("the double of a target");
    program.try("close_range", 0, ALL_DESCRIPTORS, 0);
    program.try("open", "/dev/null", O_RDWR, 0);
    program.try("open", "/", 0, 0);
    // It may be stopped again before it has come to its own first call, which is this one.
    program.call("prctl", PR_SET_PDEATHSIG, SIG.KILL, 0, 0, 0);
    remote.run(program);
  } finally {
    seed.release();
  }
  return seed.pid;
}

/**
 * A rescuer whose notes nobody reads. The double needs none: it dies with this process, and its pid is somebody else's
 * soon, whom nobody is to end for it.
 */
function notingNothing(rescuer: Rescuer): Rescuer {
  const notes = new RescueNotes(rescuer.mark, () => {});
  return {
    mark: rescuer.mark,
    pids: [],
    noteThreads: (undos) => notes.noteThreads(undos),
    noteCall: (undo) => notes.noteCall(undo),
    noteChild: (undo) => notes.noteChild(undo),
    noteMemory: (undo) => notes.noteMemory(undo),
    noteOutside: (undo) => notes.noteOutside(undo),
    noteEnd: (calls) => notes.noteEnd(calls),
    noteSignal: (pid, tid, info) => notes.noteSignal(pid, tid, info),
    get aliveWord() {
      return rescuer.aliveWord;
    },
  };
}

async function freezeDouble(
  pid: number,
  plugins: readonly Plugin[],
  options: OperationOptions,
  rescuer: Rescuer,
  cancellation: Cancellation,
): Promise<void> {
  using shadows = new Shadows(cancellation, () => {});
  const settings: { -readonly [Key in keyof OperationOptions]: OperationOptions[Key] } = {
    ...options,
  };
  const isSnapshot = options.snapshot === true;
  using unsaved = new UnsavedHooks(
    orderPlugins(plugins),
    settings,
    cancellation,
    isSnapshot ? shadows : undefined,
  );
  const { hooked } = unsaved;
  const ahead = new ReadAhead(filesAhead([new Task(pid)], hooked));
  await using _reading = finishing(ahead);
  using undo = new DisposableStack();
  const tell = () => {};
  const tree = await standStill(
    pid,
    hooked,
    { rescuer, undo, cancellation, tell },
    () => {},
    ahead,
  );
  // A process that has its memory is nobody's child soon.
  for (const { remote } of tree.tasks) remote.leader.endWithTool(true);
  const session = unsaved.sessionOf({ name: "core", description: "" });
  await dump(tree, session, hooked, tell);
  dumpLast(tree, session, hooked);
  const pages = async () => {
    for (const { plugin, hooks } of hooked) await runHook(plugin, () => hooks.pages?.(tree));
  };
  if (isSnapshot) {
    // Little as it has, its memory is a shadow's then, for which there is no place here.
    settings.copyLimit = 0n;
    await pages().catch(() => {});
    settings.copyLimit = undefined;
  }
  // The double's executable is a memory file, for whose contents there is none either; so this comes last.
  await pages();
}
