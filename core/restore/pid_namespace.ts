/**
 * A pid namespace of the tree's own (pid_namespaces(7)), in which it keeps its ids whatever is taken here.
 *
 * The first process of such a namespace, its init, has the id 1 there; where it ends, the kernel kills all others. A
 * tree whose root has that id is its own init. Any other gets one that lives as long as the root and whatever the root
 * leaves behind, has what it adopts reaped, and gives others who have come in 10 s then. It gets a mount namespace, too, with a `/proc` that shows its ids; what
 * is mounted outside later is mounted there as well.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { readChildren, readStat, readStatus, readTasks } from "../linux/procfs/mod.ts";
import { kernelSigaction, SIGSET_SIZE } from "../linux/sigaction.ts";
import { SIG } from "../linux/signals.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import { endSeed } from "../remote/seed.ts";

/** The id of the init. */
export const INIT = 1;

const CLONE_NEWNS = 0x0002_0000, CLONE_NEWPID = 0x2000_0000;
/** `include/uapi/linux/mount.h`. */
const MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_REC = 0x4000, MS_SLAVE = 1 << 19;
const PR_SET_NAME = 15;
const ALL_DESCRIPTORS = 0xffff_ffff;
const WALL = 0x4000_0000;
const SIG_IGN = 1n;
const POLLIN = 1;
/** How often the init looks for others than the tree when that has ended, and how long it waits then, in nanoseconds. */
const LOOKS = 40, PAUSE = 250_000_000n;
/** The init's descriptor of the root. */
const ROOT = 0;

/** Adds calls that give the next children of whoever makes them a new pid namespace, and itself one for mounts. */
export function planPidNamespace(program: SyscallProgram): void {
  program.call("unshare", CLONE_NEWNS | CLONE_NEWPID);
  program.call("mount", "none", "/", 0, MS_REC | MS_SLAVE, 0);
}

/** Mounts the namespace's `/proc`: by a process that is in it, for all that are. */
export function mountProc(): SyscallProgram {
  const program = new SyscallProgram("the /proc of the pid namespace");
  program.call("mount", "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
  return program;
}

/** The init of a namespace whose tree has none. */
export class NamespaceInit implements Disposable {
  readonly #remote: RemoteTask;

  /** @param remote calls in it: it has just been born */
  constructor(remote: RemoteTask) {
    this.#remote = remote;
    const program = new SyscallProgram("the init of the pid namespace");
    program.call("setsid");
    program.call("prctl", PR_SET_NAME, "stasis-init", 0, 0, 0);
    // Whoever ends has it for a parent that does not want to know: the kernel reaps it (exit_notify() of kernel/exit.c).
    const ignore = program.data(kernelSigaction.make({ handler: SIG_IGN }), "SIG_IGN");
    program.call("rt_sigaction", SIG.CHLD, ignore, 0, SIGSET_SIZE);
    program.call("close_range", 0, ALL_DESCRIPTORS, 0);
    // It keeps no file system busy (daemon(7)).
    program.call("chdir", "/");
    remote.run(program);
  }

  /** Tells it for whom it lives. @param root the pid of the root in the namespace */
  watch(root: number): void {
    const program = new SyscallProgram("the root of the pid namespace");
    program.expect(BigInt(ROOT), "pidfd_open", root, 0);
    this.#remote.run(program);
  }

  /** Lets it go. It ends when the root has ended, and everything that was left to it then. */
  leave(): void {
    const program = new SyscallProgram("the init of the pid namespace");
    const polled = new Uint8Array(8); // struct pollfd
    new DataView(polled.buffer).setInt32(0, ROOT, true);
    new DataView(polled.buffer).setInt16(4, POLLIN, true);
    program.try("ppoll", program.data(polled, "pollfd"), 1, 0, 0, 0);
    // It ignores SIGCHLD: this returns when there is no child any more (wait(2)).
    program.try("wait4", -1, 0, WALL, 0);
    // Whoever has come in from outside, a checkpoint of the tree above all, may come to its end.
    const time = new Uint8Array(BigUint64Array.of(0n, PAUSE).buffer); // struct timespec
    for (let look = 0; look < LOOKS; look++) {
      const others = program.try("kill", -1, 0);
      program.tryWhere(others, 0n, "nanosleep", program.data(time, "timespec"), 0);
    }
    program.call("exit_group", 0);
    this.#remote.leave(program);
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    endSeed(this.#remote.pid);
    this.#remote.memory[Symbol.dispose]();
  }
}

/** What the tasks of a tree are called here: in a pid namespace of their own they have other ids than those there. */
export class TreeIds {
  readonly #isApart: boolean;
  /** By the id here the one there. */
  readonly #inner = new Map<number, number>();
  /** By the id there the one here. */
  readonly #here = new Map<number, number>();

  /** @param isApart whether the tree has a pid namespace of its own */
  constructor(isApart: boolean) {
    this.#isApart = isApart;
  }

  /** What a task or thread is called in the tree. */
  inner(id: number): number {
    return this.#inner.get(id) ?? id;
  }

  /** Takes note of a task whose id here is known. */
  note(inner: number, here: number): void {
    if (!this.#isApart) return;
    this.#inner.set(here, inner);
    this.#here.set(inner, here);
  }

  /** A task is gone, and its id here may be another one's. */
  forget(here: number): void {
    this.#here.delete(this.inner(here));
    this.#inner.delete(here);
  }

  /** What a task that has just been born is called here. @param maker the id here of the one that made it */
  ofChild(inner: number, maker: number, isSibling: boolean): number {
    if (!this.#isApart) return inner;
    const parent = isSibling ? readStat(maker).ppid : maker;
    return this.#find(inner, () => readChildren(parent), (pid) => readStatus(pid).nsPid);
  }

  /** What a thread that has just been born is called here. @param pid the id here of its process */
  ofThread(inner: number, pid: number): number {
    if (!this.#isApart) return inner;
    return this.#find(inner, () => readTasks(pid), (tid) => readStatus(pid, tid).nsPid);
  }

  #find(
    inner: number,
    candidates: () => readonly number[],
    idsOf: (id: number) => readonly number[],
  ): number {
    if (!this.#here.has(inner)) {
      for (const id of candidates()) {
        if (!this.#inner.has(id)) this.note(idsOf(id).at(-1) as number, id);
      }
    }
    const found = this.#here.get(inner);
    if (found !== undefined) return found;
    throw new StasisError("no-such-task", `task ${inner} was killed at its birth`, { pid: inner });
  }
}
