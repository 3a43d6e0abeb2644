/**
 * What keeps tasks out of a control group that is there.
 *
 * @module
 */
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { AT_FDCWD } from "../../core/linux/fcntl.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { isFrozen, readGroupFile } from "./group_files.ts";

const W_OK = 2, AT_EACCESS = 0x200;

/** Why a group cannot be entered, as the end of a sentence that names it, and what to do about it. */
export interface Obstacle {
  readonly why: string;
  readonly hint: string;
}

/** Controllers of cgroup v2 that know threads: a group that has only these enabled for others may have tasks itself. */
const THREADED = new Set(["cpu", "cpuset", "perf_event", "pids"]);

/**
 * Looks what stands against tasks entering a group.
 *
 * @param privileges whether what this process may not do counts
 */
export function obstacleOf(
  hierarchy: string,
  directory: string,
  { readOnly, privileges }: { readonly readOnly: boolean; readonly privileges: boolean },
): Obstacle | undefined {
  if (readOnly) {
    return {
      why: "is on a file system that is mounted for reading only here",
      hint: `have it mounted for writing (mount -o remount,rw)`,
    };
  }
  if (isFrozen(hierarchy, directory)) return { why: "is frozen", hint: "thaw it" };
  if (privileges) {
    const path = `${directory}/cgroup.procs`;
    const result = syscall(SYSCALLS.faccessat2, AT_FDCWD, cString(path), W_OK, AT_EACCESS);
    if (isErrno(result)) {
      return {
        why: `may not be entered (${errnoName(-result)})`,
        hint: "restore as root, or as its owner",
      };
    }
  }
  return hierarchy === "" ? domainObstacle(directory) : cpusetObstacle(hierarchy, directory);
}

/** The rules of `cgroup_migrate_vet_dst()` of `kernel/cgroup/cgroup.c`. */
function domainObstacle(directory: string): Obstacle | undefined {
  const type = readGroupFile(directory, "cgroup.type")?.trim();
  // The root has none, and takes everybody.
  if (type === undefined || type === "threaded") return undefined;
  if (type === "domain invalid") {
    return {
      why: "takes no tasks: it is in a threaded group and not threaded itself",
      hint: `make it threaded: echo threaded >${directory}/cgroup.type`,
    };
  }
  const enabled = readGroupFile(directory, "cgroup.subtree_control")?.split(/\s+/) ?? [];
  const domain = enabled.filter((one) => one !== "" && !THREADED.has(one));
  if (domain.length === 0) return undefined;
  return {
    why: `takes no tasks: it hands controllers on to groups in it (${domain.join(", ")})`,
    hint: `disable them in ${directory}/cgroup.subtree_control, or name another group`,
  };
}

/** A group of cgroup v1 without processors or memory takes nobody (`cpuset_can_attach()`). */
function cpusetObstacle(hierarchy: string, directory: string): Obstacle | undefined {
  if (!hierarchy.split(",").includes("cpuset")) return undefined;
  const empty = ["cpuset.cpus", "cpuset.mems"].find((name) =>
    readGroupFile(directory, name)?.trim() === ""
  );
  if (empty === undefined) return undefined;
  return { why: `takes no tasks: its ${empty} is empty`, hint: `write into ${directory}/${empty}` };
}
