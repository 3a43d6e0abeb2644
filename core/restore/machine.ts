/**
 * The facts of this machine that a plan depends on.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { mappingKind, readLimits, readMaps, readStatus } from "../linux/procfs/mod.ts";
import { CAP } from "../linux/capability.ts";
import type { Machine, Privileges } from "../plugin.ts";

/** A set of all capabilities, those included that are not known here. */
const ALL = (1n << 64n) - 1n;

/**
 * Reads them from this process: the kernel maps the same vDSO into every one.
 *
 * @param rehearsal whether nothing will be restored by this process: somebody with other privileges may do it
 */
export function readMachine(rehearsal: boolean): Machine {
  const parts = readMaps(Deno.pid).filter((mapping) =>
    ["vdso", "vvar", "vvar_vclock"].includes(mappingKind(mapping))
  );
  const [first] = parts;
  if (first === undefined) {
    throw new StasisError("kernel-too-old", "this kernel maps no vDSO (is it booted with vdso=0?)");
  }
  const { caps, noNewPrivs } = readStatus(Deno.pid);
  const privileges: Privileges = rehearsal
    ? { caps: { ...caps, permitted: ALL, effective: ALL }, noNewPrivs: false }
    : { caps, noNewPrivs };
  return {
    release: Deno.osRelease(),
    descriptorLimit: descriptorLimit(privileges),
    privileges,
    vdso: parts.map(({ name, start, end }) => ({
      name,
      offset: start - first.start,
      size: end - start,
    })),
  };
}

/** The hard limit of this process, which the privileged may raise up to another one of the kernel's. */
function descriptorLimit({ caps }: Privileges): number {
  if ((caps.effective & CAP.SYS_RESOURCE) !== 0n) {
    return Number(Deno.readTextFileSync("/proc/sys/fs/nr_open"));
  }
  const limit = readLimits(Deno.pid).find(({ name }) => name === "RLIMIT_NOFILE");
  return Number(limit?.hard ?? 1024n);
}
