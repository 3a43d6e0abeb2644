/**
 * Settings that hardly any program changes, and that only itself can tell: instructions that fault, errors in
 * memory, keys, the futex hash, extended state. Each is in `task.img` where it is not the default.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { task_extra_entry, task_extra_entrySchema } from "../../images/gen/task_pb.ts";
import { present } from "../../images/present.ts";
import { prctl, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import { ARCH, CPUID_FAULTS, grantedXstate, xstateNumbers } from "./arch_prctl.ts";
import { FUTEX_HASH, isAutomatic } from "./futex_hash.ts";
import { MCE_KILL_DEFAULT, MCE_KILL_SET, PR, TSC } from "./prctl.ts";

type Fields = MessageInitShape<typeof task_extra_entrySchema> & { $typeName?: never };

/** keyctl(2): KEYCTL_SET_REQKEY_KEYRING, which tells the old value and with -1 leaves it. */
const KEYCTL_SET_REQKEY_KEYRING = 14, NO_CHANGE = -1;

/** Asks a thread. @returns what makes the fields of the answers */
export function askThread(
  program: SyscallProgram,
): (
  reply: ProgramReply,
) => Pick<Fields, "tscFaults" | "cpuidFaults" | "mceKill" | "reqkeyKeyring" | "ioFlusher"> {
  const tsc = program.output(4, "tsc");
  const tscAsked = program.try("prctl", PR.GET_TSC, tsc, 0, 0, 0);
  const cpuid = program.try("arch_prctl", ARCH.GET_CPUID, 0);
  const mce = program.try("prctl", PR.MCE_KILL_GET, 0, 0, 0, 0);
  const keyring = program.try("keyctl", KEYCTL_SET_REQKEY_KEYRING, NO_CHANGE);
  const flusher = program.try("prctl", PR.GET_IO_FLUSHER, 0, 0, 0, 0);
  return (reply) => {
    const mceKill = Number(reply.result(mce));
    const reqkeyKeyring = Number(reply.result(keyring));
    const tscFaults = reply.result(tscAsked) === 0n && reply.output(tsc)[0] === TSC.SIGSEGV;
    return {
      tscFaults: tscFaults || undefined,
      cpuidFaults: reply.result(cpuid) === CPUID_FAULTS || undefined,
      mceKill: mceKill < 0 || mceKill === MCE_KILL_DEFAULT ? undefined : mceKill,
      reqkeyKeyring: reqkeyKeyring <= 0 ? undefined : reqkeyKeyring,
      // Whoever may not set it may not ask either.
      ioFlusher: reply.result(flusher) > 0n || undefined,
    };
  };
}

/** What a process is compared with. */
export interface HashSurroundings {
  /** Whether the kernel has private hashes at all. */
  readonly hasPrivateHash: boolean;
  /** How many CPUs the machine has. */
  readonly cpus: number;
}

/** Asks a process, through its leader. @param threads how many it has */
export function askProcess(
  program: SyscallProgram,
  threads: number,
  { hasPrivateHash, cpus }: HashSurroundings,
): (reply: ProgramReply) => Pick<Fields, "futexHashSlots" | "xstatePermissions"> {
  const slots = program.try("prctl", PR.FUTEX_HASH, FUTEX_HASH.GET_SLOTS, 0, 0, 0);
  const permitted = program.output(8, "xstate");
  const asked = program.try("arch_prctl", ARCH.GET_XCOMP_PERM, permitted);
  return (reply) => {
    const count = Number(reply.result(slots));
    const isChosen = hasPrivateHash && count >= 0 && !isAutomatic(count, threads, cpus);
    const mask = new DataView(reply.output(permitted).slice().buffer).getBigUint64(0, true);
    return {
      futexHashSlots: isChosen ? count : undefined,
      xstatePermissions: reply.result(asked) === 0n ? grantedXstate(mask) : undefined,
    };
  };
}

/** What every restored thread inherits of the settings of this one. */
export interface Inherited {
  readonly mceKill: number;
  readonly reqkeyKeyring: number;
}

/** Reads what restored threads inherit. */
export function readInherited(): Inherited {
  const keyring = syscall(SYSCALLS.keyctl, KEYCTL_SET_REQKEY_KEYRING, NO_CHANGE);
  return {
    mceKill: prctl(PR.MCE_KILL_GET),
    reqkeyKeyring: keyring < 0n ? 0 : Number(keyring),
  };
}

/** Plans the settings of a thread. */
export function planThreadSettings(
  program: SyscallProgram,
  extra: task_extra_entry | undefined,
  inherited: Inherited,
): void {
  const mceKill = present(extra, "mceKill") ?? MCE_KILL_DEFAULT;
  if (mceKill !== inherited.mceKill) {
    program.call("prctl", PR.MCE_KILL, MCE_KILL_SET, mceKill, 0, 0);
  }
  const keyring = present(extra, "reqkeyKeyring") ?? 0;
  if (keyring !== inherited.reqkeyKeyring) {
    program.call("keyctl", KEYCTL_SET_REQKEY_KEYRING, keyring);
  }
  if (extra?.ioFlusher === true) program.call("prctl", PR.SET_IO_FLUSHER, 1, 0, 0, 0);
  if (extra?.tscFaults === true) program.call("prctl", PR.SET_TSC, TSC.SIGSEGV, 0, 0, 0);
  if (extra?.cpuidFaults === true) program.call("arch_prctl", ARCH.SET_CPUID, CPUID_FAULTS);
}

/** Plans the settings of a process; those of a process with the memory of an earlier one are that one's. */
export function planProcessSettings(
  program: SyscallProgram,
  extra: task_extra_entry | undefined,
): void {
  const slots = present(extra, "futexHashSlots");
  // It changes how fast futexes are and nothing else: a kernel without it restores the rest.
  if (slots !== undefined) program.try("prctl", PR.FUTEX_HASH, FUTEX_HASH.SET_SLOTS, slots, 0, 0);
  for (const state of xstateNumbers(extra?.xstatePermissions ?? 0n)) {
    program.call("arch_prctl", ARCH.REQ_XCOMP_PERM, state);
  }
}
