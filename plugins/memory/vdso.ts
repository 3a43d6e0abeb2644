/**
 * The vDSO: the code that the kernel maps into every process, with the pages of time that it reads. A task
 * may be stopped inside it and has pointers into it, so it must be the same code, at the same address. It
 * belongs to the kernel: it can be moved and not made.
 *
 * @module
 */
import { remoteAddress } from "../../core/linux/address.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { PROT } from "../../core/linux/mman.ts";
import { type Mapping, mappingKind, readOwnVdso } from "../../core/linux/procfs/mod.ts";
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

/** The vDSO's mappings of an address space. */
export function vdsoParts(vmas: readonly vma_entry[]): vma_entry[] {
  return vmas.filter(isVdsoPart);
}

/** Where one of this machine's parts goes. */
export interface PlacedPart {
  /** Distance from the first part and size, in bytes: {@link Machine.vdso}. */
  readonly offset: bigint;
  readonly size: bigint;
  readonly to: bigint;
  /** PROT_* that it is to have, where it has others now. */
  readonly prot?: number;
}

/** A part of the images' vDSO. */
export type SavedPart = Pick<vma_entry, "start" | "end" | "status" | "prot">;

/** What the kernel gives them. */
const CODE_PROT = PROT.READ | PROT.EXEC, DATA_PROT = PROT.READ;

/**
 * Finds the parts of this machine's vDSO for those of the images. A program may have moved each of them, or unmapped
 * it, but not cut it (special_mapping_split() of `mm/mmap.c`). Parts of one kind that are adjacent may be one mapping
 * in the images: kernels differ in how they divide the pages of time.
 *
 * @returns undefined if this machine has no such parts
 */
export function placeVdso(
  parts: readonly SavedPart[],
  machine: Machine["vdso"],
): PlacedPart[] | undefined {
  const placed: PlacedPart[] = [];
  const free = new Set(machine);
  for (const part of parts) {
    const found = findRun([...free], part);
    if (found === undefined) return undefined;
    const [first] = found as [Machine["vdso"][number]];
    const usual = isVdsoCode(part) ? CODE_PROT : DATA_PROT;
    for (const one of found) {
      free.delete(one);
      placed.push({
        offset: one.offset,
        size: one.size,
        to: part.start + (one.offset - first.offset),
        prot: part.prot === usual ? undefined : part.prot,
      });
    }
  }
  return placed;
}

/** The first parts, adjacent and of the kind, that are together as large. */
function findRun(
  free: readonly Machine["vdso"][number][],
  part: SavedPart,
): Machine["vdso"] | undefined {
  const wanted = part.end - part.start;
  for (let from = 0; from < free.length; from++) {
    let size = 0n;
    let end = free[from]?.offset;
    for (let to = from; to < free.length && size < wanted; to++) {
      const one = free[to] as Machine["vdso"][number];
      if ((one.name === "[vdso]") !== isVdsoCode(part) || one.offset !== end) break;
      size += one.size;
      end += one.size;
      if (size === wanted) return free.slice(from, to + 1);
    }
  }
  return undefined;
}

/** Parts for people, to tell the images' from this machine's. */
export function describeParts(parts: readonly { size: bigint; code: boolean }[]): string {
  return parts.map(({ size, code }) => `${code ? "vdso" : "vvar"} of ${size}`).join(", ") || "none";
}

/** This kernel's vDSO, from this process's own memory; undefined if it has none (`vdso=0`). */
export function ownVdso(): Uint8Array | undefined {
  const vdso = readOwnVdso().find((mapping) => mappingKind(mapping) === "vdso");
  if (vdso === undefined) return undefined;
  using memory = new ProcessMemory(Deno.pid);
  return memory.read(remoteAddress(vdso.start), Number(vdso.end - vdso.start));
}

/** Whether the vDSO of a task is the kernel's, byte for byte. */
export function hasOwnVdso(pid: number, { start, end }: Pick<Mapping, "start" | "end">): boolean {
  const own = ownVdso();
  using memory = new ProcessMemory(pid);
  const bytes = memory.read(start, Number(end - start));
  return own?.byteLength === bytes.byteLength &&
    bytes.every((byte, index) => byte === own[index]);
}
