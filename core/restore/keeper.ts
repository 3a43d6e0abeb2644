/**
 * What undoes the last steps of a restore that is killed among them, or does those that are left where the tree runs: a
 * process that waits for the end of the tool.
 *
 * It is a seed (`core/remote/seed.ts`) in a session of its own that nobody traces and that runs one syscall program.
 * Until the tree is to run whatever becomes of the tool, it dies with the tool: thread by thread, since that is an option
 * of each (PTRACE_O_EXITKILL), which is taken from one after the other. So that no half of a tree is left where the tool
 * dies among these, the keeper kills all of it unless it has been told that all are to live ({@link Keeper.letLive}), by
 * a signal that it keeps blocked and asks for. The kernel wakes who polls the tool's pidfd after it has let go of the
 * tool's tracees (`exit_notify()` of `kernel/exit.c`).
 *
 * @module
 */
import { AT_FDCWD } from "../linux/fcntl.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { SIGSET_SIZE } from "../linux/sigaction.ts";
import { SIG, signalBit } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { type CallResult, SyscallProgram } from "../remote/program.ts";
import { type ListedCall, Result } from "../remote/undo.ts";
import { addUndoing, type UndoingCall } from "./undoing_call.ts";
import { endSeed, openSeed, PR_SET_PDEATHSIG, startSeed } from "../remote/seed.ts";

/** `include/uapi/linux/fs.h`. */
const RENAME_NOREPLACE = 1;
const POLLIN = 1;
const ALL_DESCRIPTORS = 0xffffffff;
/** How long a killed root may take to be dead, in seconds. Nobody waits for that. */
const PATIENCE = 10n;
/** The descriptors of the keeper: pidfds of the tool, and of the tree's tasks, its root first. */
const TOOL = 0, ROOT = 1;
/** So many may be opened by what is left to be done. */
const SPARE = 16;
const RLIMIT_NOFILE = 7;
/** What tells it that the tree is to live. */
const LIVE = SIG.ALRM;

/** The call that renames a file unless there is something at `to`; both are full paths. */
export function renaming(from: string, to: string): UndoingCall {
  return { name: "renameat2", args: [AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE] };
}

/** The keeper of a tree. Disposing of it ends it: all is well, or undone. */
export interface Keeper extends Disposable {
  /** From now on the tree is not killed where this process dies, and nothing is undone. */
  letLive(): void;
}

/**
 * Starts the keeper of a tree that is built and does not run yet.
 *
 * @param pids the tree's tasks, its root first
 * @param undo what is to be done if the restore dies, in that order
 * @param rest what is to be done if the tree is to live and this process has died before it has done so
 * @throws {StasisError} `syscall`, `no-such-task`
 */
export function startKeeper(
  pids: readonly number[],
  undo: readonly UndoingCall[],
  rest: readonly ListedCall[],
): Keeper {
  const tracee = startSeed(undefined, ["stasis-keeper", `of ${Deno.pid}`]);
  const { pid } = tracee;
  using ending = new DisposableStack();
  ending.defer(() => endSeed(pid));
  const remote = openSeed(tracee);
  remote.run(preparation(pids));
  remote.leave(keeping(pids.length, undo, rest));
  const kept = ending.move();
  return {
    // One that has been killed has nothing to be told.
    letLive: () => void syscall(SYSCALLS.kill, pid, LIVE),
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** What it runs while it is traced still. */
function preparation(pids: readonly number[]): SyscallProgram {
  const program = new SyscallProgram("the keeper");
  program.call("setsid");
  program.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0);
  program.call("close_range", 0, ALL_DESCRIPTORS, 0);
  program.expect(BigInt(TOOL), "pidfd_open", Deno.pid, 0);
  const most = BigInt(ROOT + pids.length + SPARE);
  const limit = new Uint8Array(BigUint64Array.of(most, most).buffer); // struct rlimit64
  program.try("prlimit64", 0, RLIMIT_NOFILE, program.data(limit, "limit"), 0);
  // Where so many descriptors are not allowed, the others die with the tool alone.
  pids.forEach((pid, index) => {
    if (index === 0) program.expect(BigInt(ROOT), "pidfd_open", pid, 0);
    else program.try("pidfd_open", pid, 0);
  });
  return program;
}

/** What it runs from then on. Pure. @param tasks how many there are */
export function keeping(
  tasks: number,
  undo: readonly UndoingCall[],
  rest: readonly ListedCall[],
): SyscallProgram {
  const program = new SyscallProgram("the keeper");
  program.try("ppoll", program.data(pollFd(TOOL), "pollfd"), 1, 0, 0, 0);
  const told = program.data(new Uint8Array(BigUint64Array.of(signalBit(LIVE)).buffer), "signal");
  const atOnce = program.data(timespec(0n), "timespec");
  const live = program.try("rt_sigtimedwait", told, 0, atOnce, SIGSET_SIZE);
  const results: CallResult[] = [];
  for (const { name, args } of rest) {
    const given = args.map((arg) => arg instanceof Result ? results[arg.index] as CallResult : arg);
    results.push(program.tryWhere(live, 1n, name, ...given));
  }
  program.tryWhere(live, 1n, "exit_group", 0);
  for (let task = 0; task < tasks; task++) {
    program.try("pidfd_send_signal", ROOT + task, SIG.KILL, 0, 0);
  }
  const patience = program.data(timespec(PATIENCE), "timespec");
  // How many are ready: none where the root could not be killed.
  const dead = program.try("ppoll", program.data(pollFd(ROOT), "pollfd"), 1, patience, 0, 0);
  for (const call of undo) addUndoing(program, { result: dead, least: 1n }, call);
  program.call("exit_group", 0);
  return program;
}

/** `struct timespec`. */
function timespec(seconds: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(seconds, 0n).buffer);
}

/** struct pollfd. */
function pollFd(fd: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  return bytes;
}
