/**
 * How much more memory the control groups of a process let it have: memory.max of v2, memory.limit_in_bytes of v1.
 * Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 *
 * @module
 */
import { readCgroup, readMountinfo } from "../procfs/mod.ts";
import { placesOf } from "./group_mounts.ts";

/** The files of a group, of both versions. */
const FILES = {
  v1: { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes" },
  v2: { limit: "memory.max", usage: "memory.current" },
} as const;

/** What v1 says of a group without a limit: PAGE_COUNTER_MAX of `include/linux/page_counter.h`, in bytes. */
const V1_UNLIMITED = 0x7ffffffffffff000n;

/** What the files of a group say. */
export interface GroupMemory {
  readonly limit: string;
  readonly usage: string;
  /** `memory.stat`. */
  readonly stat: string;
}

/**
 * What a group leaves, in bytes: pages of files that nobody has used lately make room.
 *
 * @returns undefined where it has no limit
 */
export function headroomOf({ limit, usage, stat }: GroupMemory): bigint | undefined {
  if (!/^\d+$/.test(limit.trim()) || BigInt(limit) >= V1_UNLIMITED) return undefined;
  const reclaimable = /^total_inactive_file (\d+)$/m.exec(stat) ??
    /^inactive_file (\d+)$/m.exec(stat);
  const used = BigInt(usage.trim()) - BigInt(reclaimable?.[1] ?? 0);
  const left = BigInt(limit.trim()) - used;
  return left > 0n ? left : 0n;
}

/** The least that any group of a process leaves it, in bytes; undefined where none that is to be seen has a limit. */
export function memoryHeadroom(pid: number): bigint | undefined {
  const mounts = readMountinfo(Deno.pid);
  let least: bigint | undefined;
  for (const { name, path } of readCgroup(pid)) {
    const isV2 = name === "";
    if (!isV2 && !name.split(",").includes("memory")) continue;
    const { limit, usage } = isV2 ? FILES.v2 : FILES.v1;
    for (const group of upwards(path)) {
      const directory = placesOf(mounts, name, group)[0]?.directory;
      if (directory === undefined) continue;
      const [limitText, usageText, stat] = [limit, usage, "memory.stat"].map((file) =>
        textOf(`${directory}/${file}`)
      );
      // The root of v2 has none of them; nor has a group whose controller is off.
      if (limitText === undefined || usageText === undefined || stat === undefined) continue;
      const left = headroomOf({ limit: limitText, usage: usageText, stat });
      if (left !== undefined && (least === undefined || left < least)) least = left;
    }
  }
  return least;
}

/** A group and those that it is in, as far as their names are known. */
export function upwards(path: string): string[] {
  const names = path.split("/").filter(Boolean);
  return names.map((_, index) => "/" + names.slice(0, names.length - index).join("/")).concat("/");
}

function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
