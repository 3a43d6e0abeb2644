/**
 * Where control groups have their directories: below which mounts of which hierarchy. Pure.
 *
 * Nothing is mounted for it: in the first namespace of control groups that would change the options of cgroup v2
 * for all (`cgroup_get_tree()` of `kernel/cgroup/cgroup.c`).
 *
 * @module
 */
import type { DeviceNumber, MountInfo } from "../procfs/mod.ts";
import { wayFrom } from "./group_path.ts";

/** A directory that a group has or would have. */
export interface GroupPlace {
  /** From the root of the process whose mounts they are. */
  readonly directory: string;
  /** The mount below which it is. */
  readonly mountPoint: string;
  /** The device of the hierarchy: what is mounted over a directory has another. */
  readonly dev: DeviceNumber;
  /** The mount is for reading alone. */
  readonly readOnly: boolean;
}

/** The mounts of a hierarchy. @param hierarchy its controllers with commas between them; empty for cgroup v2 */
export function mountsOf(mounts: readonly MountInfo[], hierarchy: string): MountInfo[] {
  if (hierarchy === "") return mounts.filter(({ fsType }) => fsType === "cgroup2");
  const controllers = hierarchy.split(",");
  return mounts.filter(({ fsType, superOptions }) =>
    fsType === "cgroup" && controllers.every((one) => superOptions.includes(one))
  );
}

/**
 * Where a group is to be found, the best place first: one that can be written to; of the others the one that was
 * mounted last, which may hide what is below it.
 *
 * @param mounts as a process reads them of itself
 * @param path as the same process reads it
 */
export function placesOf(
  mounts: readonly MountInfo[],
  hierarchy: string,
  path: string,
): GroupPlace[] {
  const places = mountsOf(mounts, hierarchy).flatMap((mount) => {
    const { root, mountPoint, dev, options, superOptions } = mount;
    const way = wayFrom(root, path);
    if (way === undefined) return [];
    const readOnly = options.includes("ro") || superOptions.includes("ro");
    const directory = (mountPoint === "/" ? "" : mountPoint) + way;
    return [{ directory: directory || "/", mountPoint, dev, readOnly }];
  });
  return places.reverse().sort((a, b) => Number(a.readOnly) - Number(b.readOnly));
}
