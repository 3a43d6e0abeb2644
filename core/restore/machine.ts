/**
 * The facts of this machine that a plan depends on.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { readLimits, readOwnVdso, readStatus } from "../linux/procfs/mod.ts";
import { CAP } from "../linux/capability.ts";
import { prctl } from "../linux/libc_ffi.ts";
import type { Machine, Privileges } from "../plugin.ts";
import { privilegesInside } from "./user_namespace.ts";

/** `include/uapi/linux/prctl.h`. */
const PR_GET_SECUREBITS = 27;

/**
 * Reads them from this process: the kernel maps the same vDSO into every one.
 *
 * @param rehearsal whether nothing will be restored by this process: somebody with more privileges may do it, but
 *     with none that root lacks here, in a container say (the bounding set)
 * @param userNamespace whether the tree gets a user namespace of its own
 */
export function readMachine(rehearsal: boolean, userNamespace = false): Machine {
  const parts = readOwnVdso();
  const [first] = parts;
  if (first === undefined) {
    throw new StasisError("kernel-too-old", "this kernel maps no vDSO (is it booted with vdso=0?)");
  }
  const own = readPrivileges();
  const most = own.caps.permitted | own.caps.bounding;
  const privileges: Privileges = rehearsal
    ? { ...own, caps: { ...own.caps, permitted: most, effective: most }, noNewPrivs: false }
    : own;
  return {
    release: Deno.osRelease(),
    descriptorLimit: descriptorLimit(privileges),
    privileges,
    startPrivileges: userNamespace ? privilegesInside(own) : privileges,
    userNamespace,
    vdso: parts.map(({ name, start, end }) => ({
      name,
      offset: start - first.start,
      size: end - start,
    })),
  };
}

/** What this process may do. */
export function readPrivileges(): Privileges {
  const { caps, noNewPrivs, uids, gids, groups } = readStatus(Deno.pid);
  const securebits = prctl(PR_GET_SECUREBITS);
  return { caps, noNewPrivs, uids, gids, groups, securebits, idsAreFixed: false };
}

/** The hard limit of this process, which the privileged may raise up to another one of the kernel's. */
function descriptorLimit({ caps }: Privileges): number {
  if ((caps.effective & CAP.SYS_RESOURCE) !== 0n) {
    return Number(Deno.readTextFileSync("/proc/sys/fs/nr_open"));
  }
  const limit = readLimits(Deno.pid).find(({ name }) => name === "RLIMIT_NOFILE");
  return Number(limit?.hard ?? 1024n);
}
