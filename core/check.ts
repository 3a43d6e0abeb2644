/**
 * What this kernel and this user can do, tried out where it can be tried.
 *
 * @module
 */
import { CAP } from "./linux/capability.ts";
import { isErrno } from "./linux/errno.ts";
import { KCMP, kcmp } from "./linux/kcmp.ts";
import { syscall } from "./linux/libc_ffi.ts";
import { openPidfd, takeDescriptor } from "./linux/pidfd.ts";
import { ProcessMemory } from "./linux/memory.ts";
import {
  mappingKind,
  readOwnVdso,
  readPidMax,
  readStatus,
  requireOwnProc,
} from "./linux/procfs/mod.ts";
import { findCodePlaces } from "./remote/code_places.ts";
import { Guardian } from "./guardian/guardian.ts";
import { SYSCALLS } from "./linux/x86_64/syscalls.ts";
import type { Feature, Plugin } from "./plugin.ts";
import { SyscallProgram } from "./remote/program.ts";
import { addClone } from "./restore/clone.ts";
import { endSeed, openSeed, startSeed } from "./remote/seed.ts";
import { readPrivileges } from "./restore/machine.ts";
import { userNamespaceProblem } from "./restore/user_namespace.ts";
import { type PrivilegeVerdict, verdicts } from "./verdicts.ts";

/** What {@link checkMachine} tells of a machine. */
export interface CheckReport {
  /** The kernel's release. */
  readonly kernel: string;
  /** What can be done, by whose programs it is done with. */
  readonly verdicts: readonly PrivilegeVerdict[];
  /** Feature by feature, the core's first. */
  readonly features: readonly (Feature & { readonly plugin: string })[];
}

/** What ids are restored by. */
const SET_TID = "clone3 with set_tid";

/** Capabilities that matter. */
const CAPABILITIES: readonly (readonly [bit: bigint, name: string, note: string])[] = [
  [CAP.SYS_PTRACE, "CAP_SYS_PTRACE", "targets of other users"],
  [CAP.CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", "restoring with the same pids, shared memory"],
  [
    CAP.SYS_ADMIN,
    "CAP_SYS_ADMIN",
    "restoring with the same pids, mapped files, suspending seccomp",
  ],
  [CAP.SYS_RESOURCE, "CAP_SYS_RESOURCE", "raising hard limits and pipe sizes of restored tasks"],
  [CAP.SETGID, "CAP_SETGID", "restoring groups"],
  [CAP.SETUID, "CAP_SETUID", "restoring user ids"],
];

/**
 * Looks at this machine. Creates a process and lets it go again; changes nothing.
 *
 * @throws {StasisError} `unsupported` where /proc is not of this pid namespace
 */
export function checkMachine(plugins: readonly Pick<Plugin, "name" | "check">[]): CheckReport {
  requireOwnProc();
  const userNamespace = userNamespaceProblem(readPrivileges()) === undefined;
  const core = coreFeatures(userNamespace);
  const features = [
    ...core.map((feature) => ({ ...feature, plugin: "core" })),
    ...plugins.flatMap((plugin) =>
      (plugin.check?.() ?? []).map((feature) => ({ ...feature, plugin: plugin.name }))
    ),
  ];
  const isThere = (name: string) => core.some((one) => one.name === name && one.available);
  return {
    kernel: Deno.osRelease(),
    verdicts: verdicts({
      effective: readStatus(Deno.pid).caps.effective,
      basics: features.every(({ name, available, required }) =>
        available || !required || name === SET_TID
      ),
      setTid: isThere(SET_TID),
      userNamespace,
    }),
    features,
  };
}

function coreFeatures(userNamespace: boolean): Feature[] {
  return [
    attempt("kcmp", "finding descriptors and memory that tasks share", () => {
      kcmp(Deno.pid, Deno.pid, KCMP.FILE, 0, 0);
    }),
    attempt("pidfd_getfd", "looking at a target's descriptors (Linux 5.6)", () => {
      using pidfd = openPidfd(Deno.pid);
      using _ = takeDescriptor(pidfd, Deno.pid, 0);
    }),
    ...seedFeatures(userNamespace),
    {
      name: "user namespaces",
      available: userNamespace,
      required: false,
      note: "restoring with --new-pid-namespace without privileges",
    },
    ...guardianFeatures(),
    ...capabilityFeatures(),
  ];
}

function attempt(name: string, note: string, probe: () => void, required = true): Feature {
  try {
    probe();
    return { name, available: true, required, note };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { name, available: false, required, note: `${note}: ${why}` };
  }
}

/** Makes a seed, runs a program in it, and has it make a task with a pid of our choice. */
function seedFeatures(userNamespace: boolean): Feature[] {
  const remote = "system calls in a traced task";
  const setTidNote = "restoring with the same pids (Linux 5.5, CAP_CHECKPOINT_RESTORE)";
  let seed: ReturnType<typeof startSeed>;
  try {
    seed = startSeed();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [{ name: remote, available: false, required: true, note: why }];
  }
  try {
    using task = openSeed(seed);
    return [
      attempt(remote, "everything", () => void task.call("getpid")),
      attempt(SET_TID, setTidNote, () => {
        const pid = freePid();
        const birth = new SyscallProgram("a task with a chosen pid");
        addClone(birth, pid, 0n);
        task.run(birth);
        endSeed(pid);
        task.tryCall("wait4", pid, 0, 0x40000000, 0);
      }, !userNamespace),
    ];
  } finally {
    endSeed(seed.pid);
  }
}

/** Starts a guardian and ends it, and looks where threads could wait for it. */
function guardianFeatures(): Feature[] {
  return [
    attempt("guardian", "targets that survive the death of this tool", () => {
      using _ = Guardian.start([]);
    }),
    {
      name: "waiting place in the vDSO",
      available: hasWaitingVdso(),
      required: false,
      note:
        "without one a program with dispatch or filters, and none in its code, dies with this tool",
    },
  ];
}

function hasWaitingVdso(): boolean {
  using memory = new ProcessMemory(Deno.pid);
  const vdso = readOwnVdso().filter((mapping) => mappingKind(mapping) === "vdso");
  return findCodePlaces(memory, vdso).waiting !== undefined;
}

/** A pid that nobody has, from the far end: the near ones are given out next. */
function freePid(): number {
  for (let pid = readPidMax() - 1; pid > 300; pid--) {
    if (isErrno(syscall(SYSCALLS.kill, pid, 0))) return pid;
  }
  throw new Error("every pid is taken");
}

function capabilityFeatures(): Feature[] {
  const { effective } = readStatus(Deno.pid).caps;
  return CAPABILITIES.map(([bit, name, note]) => ({
    name,
    available: (effective & bit) !== 0n,
    required: false,
    note,
  }));
}
