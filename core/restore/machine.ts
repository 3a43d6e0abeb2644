/**
 * The facts of this machine that a plan depends on.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { mappingKind, readLimits, readMaps, readStatus } from "../linux/procfs/mod.ts";
import type { Machine } from "../plugin.ts";

/** Reads them from this process: the kernel maps the same vDSO into every one. */
export function readMachine(): Machine {
  const parts = readMaps(Deno.pid).filter((mapping) =>
    ["vdso", "vvar", "vvar_vclock"].includes(mappingKind(mapping))
  );
  const [first] = parts;
  if (first === undefined) {
    throw new StasisError("kernel-too-old", "this kernel maps no vDSO (is it booted with vdso=0?)");
  }
  return {
    release: Deno.osRelease(),
    descriptorLimit: descriptorLimit(),
    vdso: parts.map(({ name, start, end }) => ({
      name,
      offset: start - first.start,
      size: end - start,
    })),
  };
}

const CAP_SYS_RESOURCE = 24n;

/** The hard limit of this process, which the privileged may raise up to another one of the kernel's. */
function descriptorLimit(): number {
  const privileged = (readStatus(Deno.pid).caps.effective >> CAP_SYS_RESOURCE & 1n) === 1n;
  if (privileged) return Number(Deno.readTextFileSync("/proc/sys/fs/nr_open"));
  const limit = readLimits(Deno.pid).find(({ name }) => name === "RLIMIT_NOFILE");
  return Number(limit?.hard ?? 1024n);
}
