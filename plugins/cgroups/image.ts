/**
 * `cgroup.img` in both directions. Pure.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { decodeBytes, encodeBytes } from "../../base/byte_text.ts";
import { StasisError } from "../../base/errors.ts";
import type {
  cgroup_dir_entry,
  cgroup_entry,
  cgroup_entrySchema,
  cgroup_perms,
  cgroup_prop_entry,
} from "../../images/gen/cgroup_pb.ts";
import { present } from "../../images/present.ts";
import { uniqueById } from "../../images/unique.ts";
import type { FoundSetting, GroupState, Permissions } from "./group_files.ts";
import { isGroupName, isGroupPath } from "../../core/linux/cgroup/group_path.ts";
import type { Member, MemberSet } from "./membership.ts";
import { isSettable } from "./settings.ts";

/** A setting of the images. */
export interface SavedSetting {
  readonly name: string;
  readonly value: string;
  /** Absent in images of old versions of CRIU. */
  readonly permissions?: Permissions;
}

/** A group of the images. */
export interface SavedGroup {
  readonly path: string;
  readonly permissions?: Permissions;
  /** In the order in which they are set; what is no setting that is known is left out. */
  readonly settings: readonly SavedSetting[];
  readonly children: readonly SavedGroup[];
}

/** A hierarchy of the images, and what is in it. */
export interface SavedHierarchy {
  /** The controllers with commas between them; empty for cgroup v2. */
  readonly name: string;
  /** The paths of the groups that were saved with all that is in them; the root of the hierarchy among them. */
  readonly tops: readonly string[];
  /** The topmost groups with settings: the root of a hierarchy has none. */
  readonly groups: readonly SavedGroup[];
}

/** All that the images say. */
export interface SavedGroups {
  readonly sets: ReadonlyMap<number, readonly Member[]>;
  readonly hierarchies: readonly SavedHierarchy[];
}

/** What is saved of a hierarchy. */
export interface FoundHierarchy {
  readonly name: string;
  /** Whether threads of one process may be in different groups. */
  readonly isThreaded: boolean;
  /** The topmost groups, each named by its path. */
  readonly groups: readonly GroupState[];
}

/** The message of the image. */
export function encodeGroups(
  sets: readonly MemberSet[],
  hierarchies: readonly FoundHierarchy[],
): MessageInitShape<typeof cgroup_entrySchema> {
  return {
    sets: sets.map(({ id, members }) => ({
      id,
      ctls: members.map(({ hierarchy, path, root }) => ({
        name: hierarchy,
        path,
        cgnsPrefix: root === undefined ? undefined : encodeBytes(root).length,
      })),
    })),
    controllers: hierarchies.map(({ name, isThreaded, groups }) => ({
      cnames: name.split(","),
      dirs: groups.map((group) => encodeGroup(group, group.name.slice(1))),
      isThreaded,
    })),
  };
}

type GroupInit = NonNullable<
  NonNullable<MessageInitShape<typeof cgroup_entrySchema>["controllers"]>[number]["dirs"]
>[number];

function encodeGroup({ settings, children, mode, uid, gid }: GroupState, name: string): GroupInit {
  return {
    dirName: name,
    children: children.map((child) => encodeGroup(child, child.name)),
    properties: settings.map(encodeSetting),
    dirPerms: { mode, uid, gid },
  };
}

function encodeSetting({ name, value, mode, uid, gid }: FoundSetting) {
  return { name, value, perms: { mode, uid, gid } };
}

/** The most that a setting may have in bytes, which the kernel takes by one write(2), a page. */
const LONGEST_VALUE = 4096;

/**
 * Leaves out of a group and those in it what {@link decodeGroups} would refuse.
 *
 * @param path of the group
 * @param leftOut is told of each setting with the path of its group
 */
export function withoutLongSettings(
  group: GroupState,
  path: string,
  leftOut: (path: string, name: string) => void,
): GroupState {
  return {
    ...group,
    settings: group.settings.filter(({ name, value }) => {
      const fits = value.length <= LONGEST_VALUE;
      if (!fits) leftOut(path, name);
      return fits;
    }),
    children: group.children.map((child) =>
      withoutLongSettings(child, `${path}/${child.name}`, leftOut)
    ),
  };
}

/**
 * Reads the message and checks that nothing in it leads elsewhere.
 *
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image`
 */
export function decodeGroups(message: cgroup_entry, file: string): SavedGroups {
  const refuse = (what: string): StasisError => new StasisError("bad-image", `${file} ${what}`);
  const sets = uniqueById(message.sets, ({ id }) => id, file, "set");
  for (const { id, ctls } of sets.values()) {
    if (id === 0) throw refuse("has a set 0");
    uniqueById(ctls, ({ name }) => name, file, `a member of set ${id}, hierarchy`);
    for (const member of ctls) {
      const { name, path } = member;
      if (!isHierarchy(name)) throw refuse(`names an impossible hierarchy, ${name}`);
      // One of another namespace than the tool's was, as /proc/PID/cgroup tells it.
      if (!isGroupPath(path.replace(/^(\/\.\.)+(?=\/|$)/, "") || "/")) {
        throw refuse(`names an impossible group, ${path}`);
      }
      const prefix = present(member, "cgnsPrefix");
      if (prefix !== undefined && !isBoundary(encodeBytes(path), prefix)) {
        throw refuse(`has a namespace in the middle of the name of a group, ${path}`);
      }
    }
  }
  const hierarchies = message.controllers.map(({ cnames, dirs }) => {
    const name = cnames.join(",");
    if (cnames.length === 0 || !isHierarchy(name)) {
      throw refuse(`names an impossible hierarchy, ${name}`);
    }
    const groups = dirs.flatMap((dir) => decodeTop(dir, refuse));
    return { name, tops: dirs.map(({ dirName }) => `/${dirName}`), groups };
  });
  uniqueById(hierarchies, ({ name }) => name, file, "the hierarchy");
  return {
    sets: new Map(
      [...sets].map(([id, { ctls }]) => [
        id,
        ctls.map((member) => ({
          hierarchy: member.name,
          path: member.path,
          root: rootOf(member.path, present(member, "cgnsPrefix")),
        })),
      ]),
    ),
    hierarchies,
  };
}

/** Controllers, or the name of a hierarchy without any. */
function isHierarchy(name: string): boolean {
  return name === "" || /^(name=)?[\w.-]+(,(name=)?[\w.-]+)*$/.test(name);
}

/** Whether a prefix of a path ends where the name of a group does. */
function isBoundary(path: Uint8Array, length: number): boolean {
  return length > 0 && (length === path.length || path[length] === 0x2f);
}

function rootOf(path: string, length: number | undefined): string | undefined {
  return length === undefined ? undefined : decodeBytes(encodeBytes(path).subarray(0, length));
}

/** A topmost group; those of CRIU are named by their paths, the root of a hierarchy by nothing. */
function decodeTop(
  dir: cgroup_dir_entry,
  refuse: (what: string) => StasisError,
): SavedGroup[] {
  const path = `/${dir.dirName}`;
  if (!isGroupPath(path)) throw refuse(`has an impossible group, ${path}`);
  // The root of a hierarchy is always there, and has no settings; CRIU saves all that is below.
  if (path === "/") return dir.children.map((child) => decodeGroup(child, "", refuse));
  return [decodeAt(dir, path, refuse)];
}

function decodeGroup(
  dir: cgroup_dir_entry,
  parent: string,
  refuse: (what: string) => StasisError,
): SavedGroup {
  if (!isGroupName(dir.dirName)) throw refuse(`has an impossible group, ${dir.dirName}`);
  return decodeAt(dir, `${parent}/${dir.dirName}`, refuse);
}

function decodeAt(
  { children, properties, dirPerms }: cgroup_dir_entry,
  path: string,
  refuse: (what: string) => StasisError,
): SavedGroup {
  const settings = properties.map((one) => decodeSetting(one, path, refuse));
  return {
    path,
    permissions: decodePermissions(dirPerms),
    settings: settings.filter(({ name }) => isSettable(name)),
    children: children.map((child) => decodeGroup(child, path, refuse)),
  };
}

function decodeSetting(
  { name, value, perms }: cgroup_prop_entry,
  path: string,
  refuse: (what: string) => StasisError,
): SavedSetting {
  if (!/^[\w.]+$/.test(name) || /^\.+$/.test(name) || value.length > LONGEST_VALUE) {
    throw refuse(`has an impossible setting of the group ${path}, ${name}`);
  }
  return { name, value, permissions: decodePermissions(perms) };
}

/** CRIU has the type of the file among them. */
function decodePermissions(perms: cgroup_perms | undefined): Permissions | undefined {
  return perms && { mode: perms.mode & 0o7777, uid: perms.uid, gid: perms.gid };
}
