/**
 * What undoes the last steps of a restore that is killed among them, or does those that are left where the tree runs: a
 * process that waits for the end of the tool.
 *
 * It is a seed (`core/remote/seed.ts`) in a session of its own that nobody traces and that runs one syscall program.
 * Where the tool ends before it has ended the keeper, the tree either runs already, and keeps its names and objects, or
 * dies with the tool (PTRACE_O_EXITKILL). The kernel wakes who polls the tool's pidfd after it has killed the tool's
 * tracees (`exit_notify()` of `kernel/exit.c`); the keeper gives the tree's root some time to be dead.
 *
 * @module
 */
import { AT_FDCWD } from "../linux/fcntl.ts";
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
/** The descriptors of the keeper: pidfds of the tool and of the tree's root. */
const TOOL = 0, ROOT = 1;

/** The call that renames a file unless there is something at `to`; both are full paths. */
export function renaming(from: string, to: string): UndoingCall {
  return { name: "renameat2", args: [AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE] };
}

/**
 * Starts the keeper of a tree that is built and does not run yet. Disposing of it ends it: all is well, or undone.
 *
 * @param root the pid of the tree's root
 * @param undo what is to be done if the restore dies, in that order
 * @param rest what is to be done if the tree runs and this process has died before it has done so
 * @throws {StasisError} `syscall`, `no-such-task`
 */
export function startKeeper(
  root: number,
  undo: readonly UndoingCall[],
  rest: readonly ListedCall[],
): Disposable {
  const tracee = startSeed(undefined, ["stasis-keeper", `of ${Deno.pid}`]);
  const { pid } = tracee;
  using ending = new DisposableStack();
  ending.defer(() => endSeed(pid));
  const remote = openSeed(tracee);
  remote.run(preparation(root));
  remote.leave(keeping(undo, rest));
  return ending.move();
}

/** What it runs while it is traced still. */
function preparation(root: number): SyscallProgram {
  const program = new SyscallProgram("the keeper");
  program.call("setsid");
  program.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0);
  program.call("close_range", 0, ALL_DESCRIPTORS, 0);
  program.expect(BigInt(TOOL), "pidfd_open", Deno.pid, 0);
  program.expect(BigInt(ROOT), "pidfd_open", root, 0);
  return program;
}

/** What it runs from then on. Pure. */
export function keeping(
  undo: readonly UndoingCall[],
  rest: readonly ListedCall[],
): SyscallProgram {
  const program = new SyscallProgram("the keeper");
  program.try("ppoll", program.data(pollFd(TOOL), "pollfd"), 1, 0, 0, 0);
  const time = new Uint8Array(BigUint64Array.of(PATIENCE, 0n).buffer); // struct timespec
  const patience = program.data(time, "timespec");
  // How many are ready: none where the root lives.
  const dead = program.try("ppoll", program.data(pollFd(ROOT), "pollfd"), 1, patience, 0, 0);
  for (const call of undo) addUndoing(program, { result: dead, least: 1n }, call);
  // Where it lives the others are left.
  program.tryWhere(dead, 1n, "exit_group", 0);
  const results: CallResult[] = [];
  for (const { name, args } of rest) {
    const given = args.map((arg) => arg instanceof Result ? results[arg.index] as CallResult : arg);
    results.push(program.try(name, ...given));
  }
  program.call("exit_group", 0);
  return program;
}

/** struct pollfd. */
function pollFd(fd: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  return bytes;
}
