/**
 * The calls that make groups and set their settings.
 *
 * @module
 */
import { encodeBytes } from "../../base/byte_text.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { statPath } from "../../core/linux/files.ts";
import type { TaskPlanner, TreePlanner } from "../../core/plugin.ts";
import type { CallResult, SyscallProgram } from "../../core/remote/program.ts";
import { explainGroup } from "./doors.ts";
import { hasGroupFile, type Permissions, readGroupFile } from "./group_files.ts";
import type { Making, Setting } from "./making.ts";
import {
  isForPermissions,
  isInitial,
  savedValue,
  type SettingWrite,
  writesOf,
} from "./settings.ts";

/** What the kernel gives to the directory of a new group, and to most of the files in it. */
const DIRECTORY_MODE = 0o755, FILE_MODE = 0o644;

/** Adds the calls that make groups, to the seed's program; what fails later takes them away again. */
export function planMakings(tree: TreePlanner, groups: readonly Making[]): void {
  const made = groups.map((one) => ({
    directory: one.directory,
    made: planMaking(tree.seed, one),
  }));
  // What is in others goes first.
  for (const { directory, made: call } of made.reverse()) tree.outlivesDirectory(call, directory);
}

function planMaking(seed: SyscallProgram, group: Making): CallResult {
  const { directory, saved, enable } = group;
  const made = seed.explained(
    explainGroup("cannot be made", group),
    "mkdirat",
    AT_FDCWD,
    directory,
    DIRECTORY_MODE,
  );
  const { permissions, settings = [] } = saved ?? {};
  planPermissions(seed, directory, permissions ?? { mode: DIRECTORY_MODE, uid: 0, gid: 0 }, {
    required: true,
  });
  for (const one of saved === undefined ? processorsAbove(group) : []) planWrite(seed, group, one);
  for (const { name, value, permissions } of settings) {
    const isNew = isInitial(name, value);
    const file = `${directory}/${name}`;
    if (!isNew) { for (const write of writesOf(name, value)) planWrite(seed, group, write); }
    // What a new group has anyway it may not have on this kernel.
    if (permissions !== undefined && isChanged(permissions)) {
      planPermissions(seed, file, permissions, { required: !isNew });
    }
  }
  if (enable.size > 0) {
    const text = [...enable].map((one) => `+${one}`).join(" ");
    planWrite(seed, group, { file: "cgroup.subtree_control", text });
  }
  return made;
}

/** What of cgroup v1 a group and all groups in it are good for nothing without, and a new one has not. */
const PROCESSORS = ["cpuset.cpus", "cpuset.mems"] as const;

/** What gives a new group of which nothing is known the processors and memory of the nearest one above that is there. */
function processorsAbove({ hierarchy, directory }: Making): SettingWrite[] {
  if (!hierarchy.split(",").includes("cpuset")) return [];
  let above = parentOf(directory);
  while (above !== "" && !hasGroupFile(above, PROCESSORS[0])) above = parentOf(above);
  return PROCESSORS.flatMap((file) => {
    const text = readGroupFile(above, file)?.trim();
    return text === undefined || text === "" ? [] : [{ file, text }];
  });
}

function parentOf(directory: string): string {
  return directory.slice(0, directory.lastIndexOf("/"));
}

/** Whether somebody has changed the permissions of a file, whether that could be written to or only read. */
function isChanged({ mode, uid, gid }: Permissions): boolean {
  return uid !== 0 || gid !== 0 || mode !== FILE_MODE && mode !== 0o444;
}

function planPermissions(
  program: SyscallProgram,
  path: string,
  { mode, uid, gid }: Permissions,
  { required }: { readonly required: boolean },
): void {
  const add = required ? program.call.bind(program) : program.try.bind(program);
  if (uid !== 0 || gid !== 0) add("fchownat", AT_FDCWD, path, uid, gid, 0);
  add("fchmodat", AT_FDCWD, path, mode);
}

function planWrite(
  program: SyscallProgram,
  group: Pick<Making, "hierarchy" | "path" | "directory">,
  { file, text }: SettingWrite,
): void {
  const explain = explainGroup(`cannot have ${file} set to ${JSON.stringify(text)}`, group);
  const path = `${group.directory}/${file}`;
  const fd = program.explained(explain, "openat", AT_FDCWD, path, O.WRONLY | O.CLOEXEC, 0);
  program.explained(explain, "write", fd, text, encodeBytes(text).length);
  program.call("close", fd);
}

/**
 * Adds the calls that give a group which is there its settings back, as far as it has others, to the program of a
 * task: as late as that may open files, since they are not taken back where the restore fails.
 */
export function planSetting(root: TaskPlanner, group: Setting): void {
  const { directory, saved: { permissions, settings } } = group;
  const program = root.program("thread");
  if (permissions !== undefined && differs(directory, permissions)) {
    planPermissions(program, directory, permissions, { required: true });
  }
  for (const { name, value, permissions } of settings) {
    const file = `${directory}/${name}`;
    if (!isForPermissions(name)) {
      const contents = readGroupFile(directory, name);
      const now = contents === undefined ? undefined : savedValue(name, contents);
      for (const write of now === value ? [] : changesTo(name, value, now)) {
        planWrite(program, group, write);
      }
    }
    // One that comes with its controller only then has what the kernel gives to it.
    const isOther = hasGroupFile(directory, name) ? differs.bind(null, file) : isChanged;
    if (permissions !== undefined && isOther(permissions)) {
      planPermissions(program, file, permissions, { required: true });
    }
  }
}

/** The writes that turn one value into another. */
function changesTo(name: string, value: string, now: string | undefined): SettingWrite[] {
  if (name !== "cgroup.subtree_control") return writesOf(name, value);
  const wanted = value.split(" ").filter(Boolean);
  const there = (now ?? "").split(" ").filter(Boolean);
  const text = [
    ...there.filter((one) => !wanted.includes(one)).map((one) => `-${one}`),
    ...wanted.filter((one) => !there.includes(one)).map((one) => `+${one}`),
  ].join(" ");
  return text === "" ? [] : [{ file: name, text }];
}

function differs(path: string, { mode, uid, gid }: Permissions): boolean {
  const now = statPath(path);
  return (now.mode & 0o7777) !== mode || now.uid !== uid || now.gid !== gid;
}
