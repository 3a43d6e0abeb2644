/**
 * The namespace of control groups that a task is in, as far as it differs from this tool's: where its roots are.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { readCgroupText, readTaskLink } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { isOutside, isWithin, ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";
import { type Member, memberIn, membersOf } from "./membership.ts";

/** `include/uapi/linux/sched.h`. */
export const CLONE_NEWCGROUP = 0x0200_0000;

/** What `/proc/PID/ns/cgroup` says: equal texts are one namespace. Undefined where there are none, and of zombies. */
export function namespaceOf(pid: number): string | undefined {
  return readTaskLink(pid, "ns/cgroup");
}

/**
 * What the `cgroup` file of a task says to a reader in that task's own namespace. This thread goes there for the
 * moment of the look; nothing else of this process is concerned.
 *
 * @throws {StasisError} `no-privilege`, `no-such-task`, `io`
 */
export function readFromWithin(pid: number): string {
  using own = openNamespace(Deno.pid);
  using theirs = openNamespace(pid);
  enter(theirs, pid);
  try {
    return readCgroupText(pid);
  } finally {
    enter(own, Deno.pid);
  }
}

function openNamespace(pid: number): OwnedDescriptor {
  const path = `/proc/${pid}/ns/cgroup`;
  const fd = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), O.RDONLY | O.CLOEXEC, 0);
  if (!isErrno(fd)) return new OwnedDescriptor(Number(fd));
  const errno = errnoName(-fd);
  throw new StasisError("io", `${path} cannot be opened: ${errno}`, { pid, errno });
}

function enter({ fd }: OwnedDescriptor, pid: number): void {
  const result = syscall(SYSCALLS.setns, fd, CLONE_NEWCGROUP);
  if (!isErrno(result)) return;
  const errno = errnoName(-result);
  throw new StasisError(
    "no-privilege",
    `the namespace of control groups of task ${pid} cannot be entered: ${errno}`,
    { pid, errno, hint: "that takes CAP_SYS_ADMIN" },
  );
}

/**
 * Says where the roots of a task's namespace are. Pure.
 *
 * @param outside the task's groups, as this tool reads them
 * @param inside the same, as the task itself reads them
 * @returns the roots by hierarchy, seen from here; undefined where they cannot be told: the task is outside of its
 *   own namespace, or that begins outside of this tool's
 */
export function namespaceRoots(
  outside: readonly Member[],
  inside: readonly Member[],
): Map<string, string> | undefined {
  const roots = new Map<string, string>();
  for (const { hierarchy, path } of outside) {
    const within = memberIn(inside, hierarchy)?.path ?? "";
    // The root of a hierarchy is written as a slash, which nothing precedes.
    const rest = within === ROOT_GROUP ? "" : within;
    if (!within.startsWith("/") || isOutside(within) || !path.endsWith(rest)) return undefined;
    const root = path.slice(0, path.length - rest.length) || ROOT_GROUP;
    if (isOutside(root)) return undefined;
    roots.set(hierarchy, root);
  }
  return roots;
}

/** Adds the roots of a namespace to groups in it; undefined where one of them is outside of it. */
export function withRoots(
  members: readonly Member[],
  roots: ReadonlyMap<string, string>,
): Member[] | undefined {
  const rooted = members.map((member) => {
    const root = roots.get(member.hierarchy) ?? ROOT_GROUP;
    if (!isWithin(root, member.path)) return undefined;
    return root === ROOT_GROUP ? member : { ...member, root };
  });
  return rooted.includes(undefined) ? undefined : rooted as Member[];
}

/** The same of what a `cgroup` file says. */
export function rootsOfTask(pid: number): Map<string, string> | undefined {
  return namespaceRoots(membersOf(readCgroupText(pid)), membersOf(readFromWithin(pid)));
}
