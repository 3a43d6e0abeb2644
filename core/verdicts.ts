/**
 * What a user can do with programs of their own and with those of others, by the privileges that they have. Pure.
 *
 * @module
 */
import { CAP } from "./linux/capability.ts";

/** One verdict. */
export interface PrivilegeVerdict {
  readonly operation: "checkpoint" | "restore";
  /** Whose programs: those that run as this user, with no more privileges, or all others. */
  readonly whose: "own" | "others";
  readonly possible: "yes" | "limited" | "no";
  /** What is not possible, or how it is, and what is missing for more. */
  readonly note?: string;
}

/** What verdicts follow from. */
export interface Abilities {
  /** The effective capabilities. */
  readonly effective: bigint;
  /** Whether calls can be made in traced tasks, and they can be guarded: without that nothing is possible. */
  readonly basics: boolean;
  /** Whether a process can be given an id. */
  readonly setTid: boolean;
  /** Whether a user namespace can be had. */
  readonly userNamespace: boolean;
}

/** What a checkpoint of one's own programs leaves out without a capability. */
const CHECKPOINT_LIMITS = [
  [CAP.SYS_ADMIN, "programs under seccomp", "CAP_SYS_ADMIN"],
  [CAP.CHECKPOINT_RESTORE, "shared memory without a name", "CAP_CHECKPOINT_RESTORE"],
  [CAP.NET_ADMIN, "unix sockets bound to a path, and TCP connections", "CAP_NET_ADMIN"],
] as const;

/** The verdicts. */
export function verdicts(abilities: Abilities): readonly PrivilegeVerdict[] {
  return [
    { operation: "checkpoint", whose: "own", ...ofCheckpoint(abilities) },
    { operation: "checkpoint", whose: "others", ...ofOthersCheckpoint(abilities) },
    { operation: "restore", whose: "own", ...ofRestore(abilities) },
    { operation: "restore", whose: "others", ...ofOthersRestore(abilities) },
  ];
}

type Answer = Pick<PrivilegeVerdict, "possible" | "note">;

const NO_BASICS: Answer = { possible: "no", note: "what is marked MISSING is required" };

function has({ effective }: Abilities, capability: bigint): boolean {
  return (effective & capability) !== 0n;
}

function ofCheckpoint(abilities: Abilities): Answer {
  if (!abilities.basics) return NO_BASICS;
  // Who has CAP_SYS_ADMIN needs no CAP_CHECKPOINT_RESTORE (checkpoint_restore_ns_capable() of the kernel).
  const limits = CHECKPOINT_LIMITS.filter(([capability]) =>
    !has(abilities, capability) &&
    !(capability === CAP.CHECKPOINT_RESTORE && has(abilities, CAP.SYS_ADMIN))
  );
  if (limits.length === 0) return { possible: "yes" };
  const what = limits.map(([, what, name]) => `${what} (${name})`).join("; ");
  return { possible: "limited", note: `but for ${what}` };
}

function ofOthersCheckpoint(abilities: Abilities): Answer {
  if (!abilities.basics) return NO_BASICS;
  return has(abilities, CAP.SYS_PTRACE)
    ? ofCheckpoint(abilities)
    : { possible: "no", note: "CAP_SYS_PTRACE is missing" };
}

function ofRestore(abilities: Abilities): Answer {
  if (!abilities.basics) return NO_BASICS;
  if (abilities.setTid) return { possible: "yes" };
  return abilities.userNamespace
    ? {
      possible: "limited",
      note: "with --new-pid-namespace, in a user namespace (CAP_CHECKPOINT_RESTORE is missing)",
    }
    : {
      possible: "no",
      note: "CAP_CHECKPOINT_RESTORE is missing, and user namespaces are forbidden",
    };
}

function ofOthersRestore(abilities: Abilities): Answer {
  if (!abilities.basics) return NO_BASICS;
  const needed = [
    [CAP.SETUID, "CAP_SETUID"],
    [CAP.SETGID, "CAP_SETGID"],
    [CAP.SETPCAP, "CAP_SETPCAP"],
  ] as const;
  const missing = [
    ...abilities.setTid ? [] : ["CAP_CHECKPOINT_RESTORE"],
    ...needed.filter(([capability]) => !has(abilities, capability)).map(([, name]) => name),
  ];
  if (missing.length === 0) return { possible: "yes" };
  return {
    possible: "no",
    note: `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing`,
  };
}
