/**
 * The vDSO: the code that the kernel maps into every process, with the pages of time that it reads. A task
 * may be stopped inside it and has pointers into it, so it must be the same code, at the same address. It
 * belongs to the kernel: it can be moved and not made.
 *
 * @module
 */
import { remoteAddress } from "../../core/linux/address.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { mappingKind, readMaps } from "../../core/linux/procfs/mod.ts";
import type { Machine } from "../../core/plugin.ts";
import { VMA_AREA_VDSO, VMA_AREA_VVAR } from "../../images/flags.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";

/** Whether a mapping of the images is one of the vDSO's. */
export function isVdsoPart({ status }: Pick<vma_entry, "status">): boolean {
  return (status & (VMA_AREA_VDSO | VMA_AREA_VVAR)) !== 0;
}

/** Whether a mapping is the vDSO's code. */
export function isVdsoCode({ status }: Pick<vma_entry, "status">): boolean {
  return (status & VMA_AREA_VDSO) !== 0;
}

/** The vDSO's mappings of an address space: adjacent ranges, with all their parts. */
export function vdsoParts(vmas: readonly vma_entry[]): vma_entry[] {
  return vmas.filter(isVdsoPart);
}

/**
 * Compares the vDSO of the images with this machine's.
 *
 * @returns why they are not the same, or undefined
 */
export function vdsoDifference(
  parts: readonly Pick<vma_entry, "start" | "end" | "status">[],
  machine: Machine["vdso"],
): string | undefined {
  const describe = (list: { offset: bigint; size: bigint; code: boolean }[]): string =>
    list.map(({ offset, size, code }) => `${code ? "vdso" : "vvar"} ${size}@${offset}`).join(", ");
  const first = parts[0]?.start ?? 0n;
  const wanted = describe(
    merged(parts.map((part) => ({
      offset: part.start - first,
      size: part.end - part.start,
      code: isVdsoCode(part),
    }))),
  );
  const present = describe(
    merged(machine.map(({ name, offset, size }) => ({ offset, size, code: name === "[vdso]" }))),
  );
  return wanted === present ? undefined : `${wanted} instead of ${present}`;
}

/** Parts of one kind that are adjacent count as one: kernels differ in how they name the pages of time. */
function merged(
  parts: { offset: bigint; size: bigint; code: boolean }[],
): { offset: bigint; size: bigint; code: boolean }[] {
  const result: { offset: bigint; size: bigint; code: boolean }[] = [];
  for (const part of parts) {
    const last = result.at(-1);
    if (last !== undefined && last.code === part.code && last.offset + last.size === part.offset) {
      last.size += part.size;
    } else result.push({ ...part });
  }
  return result;
}

/** This kernel's vDSO, from this process's own memory; undefined if it has none (`vdso=0`). */
export function ownVdso(): Uint8Array | undefined {
  const vdso = readMaps(Deno.pid).find((mapping) => mappingKind(mapping) === "vdso");
  if (vdso === undefined) return undefined;
  using memory = new ProcessMemory(Deno.pid);
  return memory.read(remoteAddress(vdso.start), Number(vdso.end - vdso.start));
}
