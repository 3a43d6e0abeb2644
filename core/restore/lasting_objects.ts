/**
 * What a restore makes that stays when all tasks are gone: System V objects, the names of message queues. Pure.
 *
 * @module
 */
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import { CallResult, SyscallProgram } from "../remote/program.ts";
import type { ProgramReply } from "../remote/program_reply.ts";
import { addUndoing, type UndoingCall } from "./undoing_call.ts";

const AT_FDCWD = -100, AT_REMOVEDIR = 0x200;
const ALL_DESCRIPTORS = 0xffffffff;
/** For close_range(2) (`include/uapi/linux/close_range.h`): in a table of its own. */
const CLOSE_RANGE_UNSHARE = 2;

/** How something is taken away that a call of the seed's program has made. */
export interface Removal {
  readonly made: CallResult;
  readonly name: SyscallName;
  readonly args: readonly (number | string | CallResult)[];
  /** The directory that is removed, which is busy until the tasks that are bound to it are dead. */
  readonly busy?: string;
}

/** How a directory is removed. */
export function directoryRemoval(made: CallResult, path: string): Removal {
  return { made, name: "unlinkat", args: [AT_FDCWD, path, AT_REMOVEDIR], busy: path };
}

/** The program of the seed, with the sequel that takes away what it has made. */
export function makerProgram(seed: SyscallProgram, removals: readonly Removal[]): SyscallProgram {
  const program = new SyscallProgram(seed.purpose);
  program.calls.push(...seed.calls);
  // It stands still for long: what the tree has open is not to be open in it as well.
  program.call("close_range", 0, ALL_DESCRIPTORS, CLOSE_RANGE_UNSHARE);
  program.beginSequel();
  for (const { made, ...call } of removals) addUndoing(program, { result: made, least: 0n }, call);
  program.call("exit_group", 0);
  return program;
}

/** The calls that take away what the program has made, all of it. */
export function undoOf(
  removals: readonly Removal[],
  reply: Pick<ProgramReply, "result">,
): UndoingCall[] {
  return removals.map(({ made: _, args, ...rest }) => ({
    ...rest,
    args: args.map((one) => one instanceof CallResult ? reply.result(one) : one),
  }));
}
