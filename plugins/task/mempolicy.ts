/**
 * NUMA policies: on which nodes the pages of a thread come to lie (set_mempolicy(2)), and those of a mapping
 * (mbind(2)). The former is saved; of the latter, which are lost, the user is told.
 *
 * @module
 */
import type { task_mempolicy_entry } from "../../images/gen/task_pb.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { parseIdList } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { FrozenTask } from "../../core/plugin.ts";
import type { CallResult, ScratchData, SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import { cpusOf as nodesOf, maskOf } from "./affinity.ts";

/** `include/uapi/linux/mempolicy.h` */
const MPOL_DEFAULT = 0, MPOL_F_ADDR = 2;
/** Room for 1024 nodes, the most that kernels are built for. */
const MASK_SIZE = 128;
/** get_mempolicy(2) and set_mempolicy(2) count one more bit than they look at (get_nodes() of `mm/mempolicy.c`). */
const MAX_NODE = MASK_SIZE * 8 + 1;

/** A policy. */
export type Mempolicy = Pick<task_mempolicy_entry, "mode" | "nodes">;

/** Asks a thread. @returns what reads the answer: undefined for no policy, and on a kernel without NUMA */
export function askMempolicy(
  program: SyscallProgram,
): (reply: ProgramReply) => Mempolicy | undefined {
  const mode = program.output(4, "mode");
  const mask = program.output(MASK_SIZE, "nodes");
  const asked = program.try("get_mempolicy", mode, mask, MAX_NODE, 0, 0);
  return (reply) =>
    reply.result(asked) === 0n ? decode(reply.output(mode), reply.output(mask)) : undefined;
}

/** The policy of this process's thread, which restored ones inherit; undefined for none. */
export function readMempolicy(): Mempolicy | undefined {
  const mode = new Uint8Array(4);
  const mask = new Uint8Array(MASK_SIZE);
  const result = syscall(SYSCALLS.get_mempolicy, mode, mask, MAX_NODE, 0, 0);
  return isErrno(result) ? undefined : decode(mode, mask);
}

function decode(mode: Uint8Array, mask: Uint8Array): Mempolicy | undefined {
  const number = new DataView(mode.slice().buffer).getUint32(0, true);
  return number === MPOL_DEFAULT ? undefined : { mode: number, nodes: nodesOf(mask) };
}

/**
 * Adds the call that gives a thread its policy.
 *
 * @param inherited what it has already
 */
export function planMempolicy(
  program: SyscallProgram,
  policy: Mempolicy | undefined,
  inherited: Mempolicy | undefined,
): void {
  if (policy === undefined && inherited === undefined) return;
  const { mode, nodes } = policy ?? { mode: MPOL_DEFAULT, nodes: [] };
  if (nodes.length === 0) {
    program.call("set_mempolicy", mode, 0, 0);
    return;
  }
  const mask = program.data(maskOf(nodes).subarray(0, MASK_SIZE), `nodes ${nodes.join(", ")}`);
  program.call("set_mempolicy", mode, mask, MAX_NODE);
}

/** Whether this machine has more than one memory node: with one, policies make no difference. */
export function hasNodes(): boolean {
  try {
    return parseIdList(Deno.readTextFileSync("/sys/devices/system/node/online")).length > 1;
  } catch {
    // A kernel without NUMA, or no sysfs.
    return false;
  }
}

/** Asks for the policies of a task's mappings. @returns what counts those that have one */
export function askMappings(
  { proc }: Pick<FrozenTask, "proc">,
  program: SyscallProgram,
): (reply: ProgramReply) => number {
  const asked = proc.vmas.map(({ start }): [CallResult, ScratchData] => {
    const mode = program.output(4, "mode");
    return [program.try("get_mempolicy", mode, 0, 0, start, MPOL_F_ADDR), mode];
  });
  return (reply) =>
    asked.filter(([call, mode]) =>
      reply.result(call) === 0n && reply.output(mode).some((byte) => byte !== 0)
    ).length;
}
