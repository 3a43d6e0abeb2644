/**
 * `/proc/PID/mountinfo`: the mounts that a process sees below its root. Source: proc_pid_mountinfo(5);
 * kernel fs/proc_namespace.c, show_mountinfo().
 *
 * @module
 */

import { unescapeOctal } from "./escape.ts";
import { malformed, readTaskText } from "./read.ts";
import type { DeviceNumber } from "./vma_line.ts";

/** One mount. */
export interface MountInfo {
  /** What `mnt_id` of a descriptor's fdinfo names. */
  readonly id: number;
  /** The mount it is on; the root's own is not in the list. */
  readonly parentId: number;
  /** The file system's device (st_dev). */
  readonly dev: DeviceNumber;
  /** Which directory of the file system is mounted; for namespace files `mnt:[4026531832]`. */
  readonly root: string;
  /** That directory has been removed since. */
  readonly rootDeleted: boolean;
  /** Where, seen from the root of the process. */
  readonly mountPoint: string;
  /** The mount's own options: `rw`, `nosuid`, ... */
  readonly options: readonly string[];
  /** The peer group that it shares mounts with. */
  readonly shared?: number;
  /** The peer group that it receives mounts from. */
  readonly master?: number;
  /** The nearest group within the root that those come through. */
  readonly propagateFrom?: number;
  readonly unbindable: boolean;
  /** With a subtype, for example `fuse.sshfs`. */
  readonly fsType: string;
  /** What was mounted; may be empty. */
  readonly source: string;
  /** Options of the file system. */
  readonly superOptions: readonly string[];
}

/** Parses the text of a `mountinfo` file, in its order: later ones may cover earlier ones. */
export function parseMountinfo(text: string): readonly MountInfo[] {
  return text.split("\n").filter(Boolean).map(parseMount);
}

const REMOVED = "//deleted";

function parseMount(line: string): MountInfo {
  // Blanks within a field are escaped, so an empty field is one between two blanks.
  const fields = line.split(" ");
  const dash = fields.indexOf("-", 6);
  if (dash < 0 || fields.length < dash + 4) throw malformed("mountinfo", line);
  const [id, parentId, dev, root, mountPoint, options] = fields as string[];
  const [major, minor] = dev!.split(":");
  const tags = new Map<string, string>();
  for (const tag of fields.slice(6, dash)) {
    const [name, value] = tag.split(":");
    tags.set(name!, value ?? "");
  }
  const group = (name: string) => tags.has(name) ? Number(tags.get(name)) : undefined;
  const rootPath = unescapeOctal(root!);
  const rootDeleted = rootPath.endsWith(REMOVED);
  return {
    id: Number(id),
    parentId: Number(parentId),
    dev: { major: Number(major), minor: Number(minor) },
    root: rootDeleted ? rootPath.slice(0, -REMOVED.length) : rootPath,
    rootDeleted,
    mountPoint: unescapeOctal(mountPoint!),
    options: options!.split(","),
    shared: group("shared"),
    master: group("master"),
    propagateFrom: group("propagate_from"),
    unbindable: tags.has("unbindable"),
    fsType: unescapeOctal(fields[dash + 1]!),
    source: unescapeOctal(fields[dash + 2]!),
    superOptions: unescapeOctal(fields[dash + 3]!).split(","),
  };
}

/**
 * Reads the mounts of a process; none for a zombie.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readMountinfo(pid: number): readonly MountInfo[] {
  return parseMountinfo(readTaskText(pid, "mountinfo"));
}
