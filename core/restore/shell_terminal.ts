/**
 * The terminal of the shell that a restore was started from: a tree that is restored in the foreground gets it as the
 * shell's other jobs do, and the tool is the shell's job in its place. When the tree stops (Ctrl-Z), the tool takes the
 * terminal back and stops too, so that the shell notices; when the shell lets it go on (`fg`, `bg`), so does the tree.
 *
 * @module
 */
import { isErrno } from "../linux/errno.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import { OwnedDescriptor } from "../linux/pidfd.ts";
import { readProcesses, readStat, unlessGone } from "../linux/procfs/mod.ts";
import { SIG, signalBit } from "../linux/signals.ts";
import {
  intBytes,
  readTermios,
  readWindowSize,
  setTermios,
  type Termios,
  ttyIntOrNone,
  ttyIoctl,
  type WindowSize,
} from "../linux/terminal.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { Ending, RestoredTree } from "./restore.ts";

const O_RDWR = 2, O_NOCTTY = 0o400, O_CLOEXEC = 0o2000000;
const SIG_BLOCK = 0, SIG_SETMASK = 2;
const SIGSET_SIZE = 8;
const P_PID = 1;
/** WSTOPPED | WNOHANG: a stop that the tree's root was told of, and not its end, which {@link RestoredTree.wait} takes. */
const STOPS = 2 | 1;

/** How long a tree that is being checkpointed is let alone before it is looked at again, in milliseconds. */
const HELD = 50;

/** How a tree has a terminal. */
export interface TerminalUse {
  /** The process group in its foreground; undefined where that is the tool's own. */
  readonly group: number | undefined;
  /** Its modes; undefined for those that it has. */
  readonly termios: Termios | undefined;
  /** The size of its window as the tree knows it; undefined if it does not. */
  readonly size: WindowSize | undefined;
  /** Whether something else was in its foreground: it gets it only when its shell has it there (`fg`). */
  readonly isBehind?: boolean;
}

/** Modes for another terminal than they are of: what the line is like it has itself (c_cflag of termios(3), speeds). */
export function modesOn(modes: Termios, here: Termios): Termios {
  const { cflag, ispeed, ospeed } = here;
  return { ...modes, cflag, ispeed, ospeed };
}

/**
 * Whether others are in a process group than this process, its ancestors and a tree, as in a pipeline: they would lose
 * the terminal with it.
 */
function isShared(group: number, root: number): boolean {
  const own = new Set<number>();
  for (let pid = Deno.pid; pid !== 0; pid = unlessGone(() => readStat(pid).ppid, 0)) own.add(pid);
  return readProcesses().some((pid) => {
    if (own.has(pid)) return false;
    const stat = unlessGone(() => readStat(pid), undefined);
    if (stat === undefined || stat.pgrp !== group || stat.state === "Z") return false;
    return !isOf(pid, new Set([root, Deno.pid]));
  });
}

/** Whether a process descends from one of these, or is one. */
function isOf(pid: number, roots: ReadonlySet<number>): boolean {
  for (let one = pid; one !== 0; one = unlessGone(() => readStat(one).ppid, 0)) {
    if (roots.has(one)) return true;
  }
  return false;
}

/** The controlling terminal of this process, in whose foreground it was. */
export class ShellTerminal implements Disposable {
  readonly #terminal: OwnedDescriptor;
  /** The process group of this process. */
  readonly #own: number;
  /** The modes that it is given back with. */
  readonly #before: Termios;
  /** How the tree is to have it, while it has not. */
  #wanted: TerminalUse | undefined;
  /** Whether the tree has it. */
  #isGiven = false;
  /** Whether the tree has not drawn on it yet. */
  #isStrange = false;

  private constructor(terminal: OwnedDescriptor, own: number) {
    this.#terminal = terminal;
    this.#own = own;
    this.#before = readTermios(terminal.fd);
  }

  /** @returns undefined where this process has no terminal, or is not in its foreground */
  static open(): ShellTerminal | undefined {
    const how = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const opened = syscall(SYSCALLS.openat, -100, cString("/dev/tty"), how, 0);
    if (isErrno(opened)) return undefined;
    using stack = new DisposableStack();
    const terminal = stack.use(new OwnedDescriptor(Number(opened)));
    const own = readStat(Deno.pid).pgrp;
    if (ttyIntOrNone(terminal.fd, "TIOCGPGRP") !== own) return undefined;
    const made = new ShellTerminal(terminal, own);
    stack.move();
    return made;
  }

  /** Whether this process is in its foreground: a shell may have put it into the background meanwhile. */
  get isOurs(): boolean {
    return this.#foreground === this.#own;
  }

  get #foreground(): number {
    return ttyIntOrNone(this.#terminal.fd, "TIOCGPGRP");
  }

  /**
   * Gives it to a tree that is about to run, or as soon as the shell lets this process have it again.
   *
   * @param root whom to tell of another window where the tree has no group of its own
   */
  give(use: TerminalUse, root: number): void {
    this.#wanted = use;
    this.#isStrange = true;
    if (use.isBehind !== true) this.giveAgain(root);
  }

  /**
   * Gives it to a tree that runs already, and that may have stopped for want of it.
   *
   * @param root its root; a group of its own is the one that the root is in
   */
  giveTo(root: number, use: TerminalUse): void {
    const group = use.group === undefined
      ? undefined
      : unlessGone(() => readStat(root).pgrp, undefined);
    this.give({ ...use, group }, root);
    syscall(SYSCALLS.kill, root, SIG.CONT);
  }

  /** Gives it to the tree again as it was taken, if it is ours to give. @returns the group that has it now, if any */
  giveAgain(root: number): number | undefined {
    const use = this.#wanted;
    if (use === undefined || !this.isOurs || isShared(this.#own, root)) return undefined;
    this.#wanted = undefined;
    this.#isGiven = true;
    const modes = use.termios && modesOn(use.termios, this.#before);
    this.#set(use.group ?? this.#own, modes);
    const { size } = use;
    const now = readWindowSize(this.#terminal.fd);
    // What it had drawn is not on this screen, whatever its size.
    const isOther = this.#isStrange ||
      size !== undefined && (now.rows !== size.rows || now.columns !== size.columns);
    this.#isStrange = false;
    if (isOther) syscall(SYSCALLS.kill, use.group === undefined ? root : -use.group, SIG.WINCH);
    return use.group;
  }

  /** Takes it back from the tree, with the modes that it had before, and notes how the tree had it. */
  takeBack(): void {
    if (!this.#isGiven) return;
    this.#isGiven = false;
    const { fd } = this.#terminal;
    const group = this.#foreground;
    this.#wanted = {
      group: group === this.#own ? undefined : group,
      termios: readTermios(fd),
      size: readWindowSize(fd),
    };
    this.#set(this.#own, this.#before);
  }

  /** A process in the background may change its terminal only while it does not hear what it gets for that (SIGTTOU). */
  #set(group: number, termios: Termios | undefined): void {
    const { fd } = this.#terminal;
    const blocked = new Uint8Array(BigUint64Array.of(signalBit(SIG.TTOU)).buffer);
    const former = new Uint8Array(SIGSET_SIZE);
    syscall(SYSCALLS.rt_sigprocmask, SIG_BLOCK, blocked, former, SIGSET_SIZE);
    try {
      if (group !== this.#foreground) ttyIoctl(fd, "TIOCSPGRP", intBytes(group));
      if (termios !== undefined) setTermios(fd, termios);
    } finally {
      syscall(SYSCALLS.rt_sigprocmask, SIG_SETMASK, former, 0, SIGSET_SIZE);
    }
  }

  /** Gives it back to the shell. */
  [Symbol.dispose](): void {
    try {
      this.takeBack();
    } catch {
      // It has been hung up.
    }
    this.#terminal[Symbol.dispose]();
  }
}

/**
 * Waits for the end of a tree that has the shell's terminal, as a job of that shell: stops with it, and lets it go on.
 *
 * @param terminal what was given to it
 * @param isHeld whether the tree is being checkpointed by this process: its stops are those of a tracer then
 */
export async function waitAsJob(
  tree: RestoredTree,
  terminal: ShellTerminal,
  isHeld: () => boolean = () => false,
): Promise<Ending> {
  const goOn = (): void => {
    const group = terminal.giveAgain(tree.pid);
    if (group !== undefined) syscall(SYSCALLS.kill, -group, SIG.CONT);
    const root = unlessGone(() => readStat(tree.pid), undefined);
    if (root?.state !== "T") return;
    // Whoever is in the tool's own group the shell has let go on itself.
    syscall(SYSCALLS.kill, root.pgrp === ownGroup ? tree.pid : -root.pgrp, SIG.CONT);
  };
  const ownGroup = readStat(Deno.pid).pgrp;
  const look = (): void => {
    if (isHeld()) return void setTimeout(look, HELD);
    if (!hasStopped(tree.pid)) return;
    terminal.takeBack();
    if (isOrphaned()) goOn();
    else syscall(SYSCALLS.kill, 0, SIG.STOP);
  };
  Deno.addSignalListener("SIGCHLD", look);
  Deno.addSignalListener("SIGCONT", goOn);
  try {
    look();
    return await tree.wait();
  } finally {
    Deno.removeSignalListener("SIGCHLD", look);
    Deno.removeSignalListener("SIGCONT", goOn);
  }
}

/** Whether a child has stopped since this was asked last. */
function hasStopped(pid: number): boolean {
  const info = new Uint8Array(128);
  const result = syscall(SYSCALLS.waitid, P_PID, pid, info, STOPS, 0);
  return result === 0n && new DataView(info.buffer).getInt32(0, true) !== 0;
}

/** Whether nobody would let this process go on if it stopped: its parent is of another session. */
function isOrphaned(): boolean {
  const own = readStat(Deno.pid);
  return unlessGone(() => readStat(own.ppid).session !== own.session, true);
}
