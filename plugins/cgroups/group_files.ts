/**
 * Control groups as this process finds them: their directories, what stands in their files, and what is below.
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import { StasisError } from "../../base/errors.ts";
import { readNames } from "../../core/linux/directory.ts";
import { type FileInfo, isMissing, statPath } from "../../core/linux/files.ts";
import { errnoOf, type MountInfo, readMountinfo } from "../../core/linux/procfs/mod.ts";
import { readFile } from "../../core/linux/read_file.ts";
import { decodeUserDevice } from "../../images/device.ts";
import { type GroupPlace, mountsOf, placesOf } from "../../core/linux/cgroup/group_mounts.ts";
import { isForPermissions, savedValue, settingsAmong } from "./settings.ts";

/** What became of the search for a group. */
export type FoundGroup =
  | { readonly kind: "here"; readonly directory: string; readonly readOnly: boolean }
  /** There is no such group; this would be its directory. */
  | { readonly kind: "gone"; readonly directory: string; readonly readOnly: boolean }
  /** Nothing of its hierarchy is mounted. */
  | { readonly kind: "unmounted" }
  /** It is outside of what is mounted of its hierarchy. */
  | { readonly kind: "outside" };

/** Finds groups below the mounts of this process, as they are when it is first asked. */
export class GroupFinder {
  #mounts: readonly MountInfo[] | undefined;
  readonly #found = new Map<string, FoundGroup>();

  /**
   * Looks for a group.
   *
   * @param hierarchy its controllers with commas between them; empty for cgroup v2
   * @param path from the root of this process's namespace of control groups
   */
  find(hierarchy: string, path: string): FoundGroup {
    const key = `${hierarchy}:${path}`;
    let found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, found = this.#search(hierarchy, path));
    return found;
  }

  #search(hierarchy: string, path: string): FoundGroup {
    const mounts = this.#mounts ??= readMountinfo(Deno.pid);
    if (mountsOf(mounts, hierarchy).length === 0) return { kind: "unmounted" };
    for (const place of placesOf(mounts, hierarchy, path)) {
      const { directory, mountPoint, readOnly } = place;
      if (isOf(place, directory)) return { kind: "here", directory, readOnly };
      // Another mount may hide this one.
      if (isOf(place, mountPoint)) return { kind: "gone", directory, readOnly };
    }
    return { kind: "outside" };
  }
}

/** Whether a path leads to a directory of the hierarchy. */
function isOf({ dev: { major, minor } }: GroupPlace, path: string): boolean {
  try {
    const { dev, isDirectory } = statPath(path);
    const found = decodeUserDevice(dev);
    return isDirectory && found.major === major && found.minor === minor;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/**
 * What a file of a group says; undefined where the group or the file is not there, or the file cannot be read (of
 * some the kernel says so, as of `cgroup.procs` in a threaded group).
 */
export function readGroupFile(directory: string, name: string): string | undefined {
  try {
    return decodeBytes(readFile(`${directory}/${name}`));
  } catch (error) {
    if (error instanceof StasisError && error.errno !== undefined) return undefined;
    throw error;
  }
}

/** Whether a group has a file, be it readable or not. */
export function hasGroupFile(directory: string, name: string): boolean {
  try {
    statPath(`${directory}/${name}`);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Whether a group or one that it is in is frozen, so that no task in it runs. */
export function isFrozen(hierarchy: string, directory: string): boolean {
  if (hierarchy === "") {
    return /^frozen 1$/m.test(readGroupFile(directory, "cgroup.events") ?? "") ||
      readGroupFile(directory, "cgroup.freeze")?.trim() === "1";
  }
  if (!hierarchy.split(",").includes("freezer")) return false;
  const state = readGroupFile(directory, "freezer.state")?.trim() ?? "THAWED";
  return state !== "THAWED";
}

/** Owner and permissions of a file. */
export interface Permissions {
  /** Without the type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A setting as it is. */
export interface FoundSetting extends Permissions {
  readonly name: string;
  readonly value: string;
}

/** A group as it is, with those in it. */
export interface GroupState extends Permissions {
  /** Its name in the group that it is in; of the first one what it was asked for by. */
  readonly name: string;
  /** In the order in which they are set. */
  readonly settings: readonly FoundSetting[];
  readonly children: readonly GroupState[];
}

/** What a look at groups may cost. */
export interface GroupBudget {
  /** How many more groups are looked at. */
  left: number;
  /** Is called for each, and may throw. */
  readonly check: () => void;
}

/**
 * Reads a group with all that is below it.
 *
 * @param name what it is called in the result
 * @returns undefined where it is gone, or there are too many; of what goes meanwhile, nothing
 */
export function readGroup(
  directory: string,
  name: string,
  budget: GroupBudget,
): GroupState | undefined {
  if (budget.left-- <= 0) return undefined;
  budget.check();
  try {
    const names = readNames(directory).filter((one) => one !== "." && one !== "..");
    const settings = settingsAmong(names).flatMap((one) => readSetting(directory, one));
    const children = names.filter((one) => statPath(`${directory}/${one}`).isDirectory)
      .flatMap((one) => readGroup(`${directory}/${one}`, one, budget) ?? []);
    return { name, ...permissionsOf(statPath(directory)), settings, children };
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENODEV") return undefined;
    throw error;
  }
}

function readSetting(directory: string, name: string): FoundSetting[] {
  const permissions = permissionsOf(statPath(`${directory}/${name}`));
  if (isForPermissions(name)) return [{ name, value: "", ...permissions }];
  const contents = readGroupFile(directory, name);
  return contents === undefined
    ? []
    : [{ name, value: savedValue(name, contents), ...permissions }];
}

function permissionsOf({ mode, uid, gid }: FileInfo): Permissions {
  return { mode: mode & 0o7777, uid, gid };
}
