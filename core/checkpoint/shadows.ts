/**
 * Shadows of the tasks of a tree (`core/remote/shadow.ts`): they hold memory still while the tree runs on.
 *
 * A shadow is an orphan, and goes to the next child subreaper above it (`find_new_reaper()` of `kernel/exit.c`): tasks
 * of the tree that are some are none for the moment in which shadows are made. Where a task of the tree has the pid 1 of
 * its namespace orphans are its own, whatever it is; and in a namespace below this process's the ids that the tree sees
 * are others: there are no shadows there.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { joinOwnGroups } from "../linux/cgroup/join_groups.ts";
import { memoryHeadroom } from "../linux/cgroup/memory_headroom.ts";
import { freeMemory } from "../linux/free_memory.ts";
import { pause } from "../linux/pause.ts";
import { readProcesses, readStat, unlessGone } from "../linux/procfs/mod.ts";
import type { FrozenTask, FrozenTree, Shadowed, Shadowing } from "../plugin.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import { type CostlyPair, SnapshotCost } from "./snapshot_cost.ts";
import { Shadow, SHADOW_NAME } from "../remote/shadow.ts";

const PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER = 37;

/** The shadows of one checkpoint. Disposing of it ends them. */
export class Shadows implements Shadowing, Disposable {
  readonly #stack = new DisposableStack();
  readonly #cancellation: Cancellation;
  readonly #note: (text: string) => void;
  #isReaped = true;
  /** Whose shadow a process is. */
  readonly #tasks = new Map<number, number>();
  #cost: SnapshotCost | undefined;
  #watch: { readonly limit: number; readonly hold: () => void } | undefined;

  /** @param note is told why a task has none */
  constructor(cancellation: Cancellation, note: (text: string) => void) {
    this.#cancellation = cancellation;
    this.#note = note;
  }

  make(tree: FrozenTree, shadowed: readonly Shadowed[]): ReadonlyMap<FrozenTask, RemoteTask> {
    const made = new Map<FrozenTask, RemoteTask>();
    const hasFirst = tree.tasks.some(({ pid }) => pid === 1);
    const possible = shadowed.filter(({ task }) => this.#canHave(task, hasFirst));
    if (possible.length === 0) return made;
    using _ = suspendSubreapers(tree.tasks);
    for (const { task, left } of possible) {
      this.#cancellation.check();
      try {
        const { remote } = this.#stack.use(Shadow.of(task.remote, left, this.#cancellation));
        made.set(task, remote);
        this.#tasks.set(remote.pid, task.pid);
      } catch (error) {
        // What is known to fail is the making; whatever else is an error of the checkpoint.
        if (!(error instanceof StasisError && isOfShadow(error, tree))) throw error;
        this.#refuse(task, error.message);
      }
    }
    return made;
  }

  /** @param hasFirst whether the first process of this pid namespace is in the tree */
  #canHave(task: FrozenTask, hasFirst: boolean): boolean {
    if (!this.#isReaped) {
      this.#refuse(task, `nobody reaps orphans here, and some of them are left (${SHADOW_NAME})`);
      return false;
    }
    if (hasFirst) {
      this.#refuse(
        task,
        "the first process of this pid namespace, whose orphans are, is in the tree",
      );
      return false;
    }
    if (task.proc.status.nsPid.length <= 1) return true;
    this.#refuse(task, "it is in a pid namespace of its own");
    return false;
  }

  #refuse({ pid }: FrozenTask, why: string): void {
    this.#note(`task ${pid} stands still while its memory is written: ${why}`);
  }

  /** Whether there may be shadows at all. */
  get arePossible(): boolean {
    return this.#isReaped;
  }

  /**
   * Waits until shadows of earlier checkpoints have been reaped, if there are many that are not. Where nobody reaps
   * orphans (the first process of a container that is no init), there are no further ones then.
   */
  async awaitReaped(): Promise<void> {
    let left = readProcesses().filter(isUnreaped);
    for (const end = performance.now() + REAPING; left.length > MOST_UNREAPED;) {
      this.#isReaped = performance.now() < end;
      if (!this.#isReaped) return;
      await this.#cancellation.breathe();
      pause(20);
      left = left.filter(isUnreaped);
    }
  }

  /** Sees how much memory the tree has, before it runs again. */
  watch(): void {
    if (this.#tasks.size > 0) this.#cost = new SnapshotCost(this.#pairs);
  }

  get #pairs(): CostlyPair[] {
    return [...this.#tasks].map(([shadow, task]) => ({ shadow, task }));
  }

  /**
   * Begins to look at what the shadows cost, when the tree runs again.
   *
   * @param limit in bytes; half of what is free, and what the control groups of the tasks leave them, if absent
   * @param hold has the tree stand still until the shadows have been written
   */
  begin(limit: bigint | undefined, hold: () => void): void {
    if (this.#cost === undefined) return;
    let free = freeMemory();
    for (const { task, shadow } of this.#pairs) {
      const left = unlessGone(() => memoryHeadroom(task), undefined);
      if (left === undefined) {
        // What it writes to, and it itself, counts for this tool from now on.
        unlessGone(() => joinOwnGroups(shadow), undefined);
      } else if (left < free) free = left;
      // Else the copies count for the groups of the task, and where these have too little it is the shadow that the
      // OOM killer is to find there.
    }
    this.#watch = { limit: Number(limit ?? free / 2n), hold };
  }

  look(): void {
    if (this.#watch === undefined || !this.#cost?.exceeds(this.#watch.limit)) return;
    const { limit, hold } = this.#watch;
    this.#watch = undefined;
    hold();
    this.#note(
      `the tree stands still again while the rest of its memory is written: it has written to so much of it that the ` +
        `copies take more than ${limit} bytes (--snapshot-limit)`,
    );
  }

  /** What an error means that has come while shadows were written. */
  explain(error: unknown): unknown {
    if (!(error instanceof StasisError) || error.code !== "no-such-task") return error;
    const task = this.#tasks.get(error.pid ?? 0);
    if (task === undefined) return error;
    return new StasisError(
      "syscall",
      `the shadow of task ${task}, which held its memory, was killed`,
      {
        pid: task,
        hint:
          "the tree runs on as it was; if there was too little memory for both, give --no-snapshot",
        cause: error,
      },
    );
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** For how long orphans may wait to be reaped, in milliseconds: some of those who do it look now and then. */
const REAPING = 5_000;
/** How many that nobody has reaped are no reason to wait. */
const MOST_UNREAPED = 3;

/** Whether a process is a shadow that has ended, and nobody has reaped it. */
function isUnreaped(pid: number): boolean {
  return unlessGone(() => {
    const { comm, state } = readStat(pid);
    return comm === SHADOW_NAME && state === "Z";
  }, false);
}

/** Has no task of a tree be a child subreaper until that is disposed of. */
function suspendSubreapers(tasks: readonly FrozenTask[]): Disposable {
  using stack = new DisposableStack();
  for (const { remote } of tasks) {
    const program = new SyscallProgram("whether a task is a child subreaper");
    const is = program.output(4, "int");
    program.call("prctl", PR_GET_CHILD_SUBREAPER, is, 0, 0, 0);
    if (remote.run(program).output(is).every((byte) => byte === 0)) continue;
    const noted = remote.noteCall("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    stack.defer(() => {
      remote.undoCall("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
      noted?.erase();
    });
    remote.call("prctl", PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }
  return stack.move();
}

/** Whether making a shadow has failed, or the shadow was killed: no task of the tree was. */
function isOfShadow({ code, pid }: StasisError, { tasks }: FrozenTree): boolean {
  if (code !== "no-such-task") return code === "syscall";
  return pid !== undefined &&
    !tasks.some((task) => task.pid === pid || task.threads.some(({ tid }) => tid === pid));
}
