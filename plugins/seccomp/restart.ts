/**
 * Interrupted calls of a thread whose filters forbid restart_syscall(2).
 *
 * A stop of a sleeping thread makes the kernel carry the call on as restart_syscall, which the filters see. A program
 * that nobody stops never makes that call, so a filter may kill it for it, and the checkpoint would be what
 * killed the program. Such a thread makes its own call again instead, as it does after a restore.
 *
 * @module
 */
import { Errno } from "../../core/linux/errno.ts";
import type { Registers } from "../../core/linux/x86_64/registers.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { actionOf, type Instruction, runChain, SECCOMP_RET } from "./bpf.ts";

/** Whether the kernel would carry the interrupted call on as restart_syscall(2). */
export function isRestartBlock(registers: Registers): boolean {
  return BigInt.asIntN(64, registers.get("orig_ax")) >= 0n &&
    -BigInt.asIntN(64, registers.get("ax")) === BigInt(Errno.ERESTART_RESTARTBLOCK);
}

/**
 * The registers with which an interrupted call goes on without restart_syscall(2).
 *
 * A sleep with a `rem` pointer goes on with what the kernel has written there; another call begins its
 * timeout anew, which it may.
 *
 * @param chain the thread's filters, the oldest first
 * @returns undefined where the thread can go on as it is
 */
export function withoutRestart(
  registers: Registers,
  chain: readonly (readonly Instruction[])[],
): Registers | undefined {
  if (!isRestartBlock(registers)) return undefined;
  const nr = Number(registers.get("orig_ax"));
  // It has been restarted once already, and lives.
  if (nr === SYSCALLS.restart_syscall) return undefined;
  const answer = actionOf(runChain(chain, {
    nr: SYSCALLS.restart_syscall,
    ip: registers.get("ip"),
    args: (["di", "si", "dx", "r10", "r8", "r9"] as const).map((name) => registers.get(name)),
  }));
  if (answer === SECCOMP_RET.ALLOW || answer === SECCOMP_RET.LOG) return undefined;
  const again = registers.copy().set("ax", BigInt(-Errno.ERESTARTNOHAND));
  if (nr === SYSCALLS.nanosleep && registers.get("si") !== 0n) {
    return again.set("di", registers.get("si"));
  }
  if (nr === SYSCALLS.clock_nanosleep && registers.get("r10") !== 0n) {
    return again.set("dx", registers.get("r10"));
  }
  return again;
}
