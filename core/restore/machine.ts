/**
 * The facts of this machine that a plan depends on.
 *
 * @module
 */
import { StasisError } from "../errors.ts";
import { mappingKind, readMaps } from "../linux/procfs/mod.ts";
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
    vdso: parts.map(({ name, start, end }) => ({
      name,
      offset: start - first.start,
      size: end - start,
    })),
  };
}
