/**
 * Whether this process may give a tree the ids that it had: by a capability, or in namespaces of the tree's own.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../linux/capability.ts";
import type { Machine, OperationOptions } from "../plugin.ts";
import { readPrivileges } from "./machine.ts";
import { userNamespaceProblem } from "./user_namespace.ts";

/** Whether only a user namespace gives this process a pid namespace. */
export function needsUserNamespace({ newPidNamespace }: OperationOptions): boolean {
  return newPidNamespace === true && (readPrivileges().caps.effective & CAP.SYS_ADMIN) === 0n;
}

const NO_USER_NAMESPACE =
  "restore as root, or have user namespaces allowed here (/proc/sys/user/max_user_namespaces, " +
  "/proc/sys/kernel/unprivileged_userns_clone, /proc/sys/kernel/apparmor_restrict_unprivileged_userns)";

/** @throws {StasisError} `no-privilege` where the ids of the tree cannot be had, free or not */
export function checkPrivileges(
  { privileges, userNamespace }: Machine,
  { newPidNamespace }: OperationOptions,
): void {
  if (userNamespace) {
    const why = userNamespaceProblem(privileges);
    if (why === undefined) return;
    throw new StasisError(
      "no-privilege",
      `a pid namespace takes CAP_SYS_ADMIN, which is missing, or a user namespace, which cannot be had: ${why}`,
      { hint: NO_USER_NAMESPACE },
    );
  }
  const { effective } = privileges.caps;
  if (newPidNamespace === true || (effective & (CAP.SYS_ADMIN | CAP.CHECKPOINT_RESTORE)) !== 0n) {
    return;
  }
  throw new StasisError(
    "no-privilege",
    "to give processes the ids that they had takes CAP_CHECKPOINT_RESTORE, which is missing",
    {
      hint: userNamespaceProblem(privileges) === undefined
        ? "restore in namespaces of the tree's own, for which no privilege is needed: --new-pid-namespace; or as root"
        : NO_USER_NAMESPACE,
    },
  );
}
