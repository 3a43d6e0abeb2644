/**
 * A user namespace of the tree's own (user_namespaces(7)): what it takes to get other namespaces without privilege. It
 * has one user and one group, those of this process, and its processes can become no others.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AT_FDCWD, O } from "../linux/fcntl.ts";
import { readLastCapability } from "../linux/procfs/mod.ts";
import type { Privileges } from "../plugin.ts";
import { SyscallProgram } from "../remote/program.ts";
import { endSeed, openSeed, startSeed } from "../remote/seed.ts";

const CLONE_NEWUSER = 0x1000_0000;

/** Adds calls that move whoever makes them into a user namespace in which it has the ids that it has. */
export function planUserNamespace(program: SyscallProgram, { uids, gids }: Privileges): void {
  program.call("unshare", CLONE_NEWUSER);
  const write = (file: string, text: string): void => {
    const opened = program.call("openat", AT_FDCWD, `/proc/self/${file}`, O.WRONLY | O.CLOEXEC, 0);
    const bytes = new TextEncoder().encode(text);
    program.expect(BigInt(bytes.length), "write", opened, bytes, bytes.length);
    program.call("close", opened);
  };
  write("uid_map", `${uids[1]} ${uids[1]} 1\n`);
  // Who may leave groups without privilege could get around permissions that are kept from them.
  write("setgroups", "deny");
  write("gid_map", `${gids[1]} ${gids[1]} 1\n`);
}

/** What processes may do there. @param own what this process may */
export function privilegesInside(own: Privileges): Privileges {
  const all = (1n << BigInt(readLastCapability() + 1)) - 1n;
  // create_user_ns() of kernel/user_namespace.c
  const caps = { inheritable: 0n, permitted: all, effective: all, bounding: all, ambient: 0n };
  return { ...own, caps, securebits: 0, idsAreFixed: true };
}

/** Tries in a process of its own whether such a namespace can be had here. @returns why not, a sentence without a full stop */
export function userNamespaceProblem(own: Privileges): string | undefined {
  let seed: ReturnType<typeof startSeed> | undefined;
  try {
    seed = startSeed();
    using task = openSeed(seed);
    const program = new SyscallProgram("a user namespace");
    planUserNamespace(program, own);
    task.run(program);
    return undefined;
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    return error.message;
  } finally {
    if (seed !== undefined) endSeed(seed.pid);
  }
}
