/**
 * The subjects with Syscall User Dispatch once more under a seccomp filter, which is put into them by
 * `tests/subjects/sandbox.h` before they arm dispatch or after.
 *
 * @module
 */
import { SUBJECTS_DIR } from "./build.ts";
import { allVariants, variantName } from "./variants.ts";

/** A subject of the list, sandboxed. */
export interface SandboxedVariant {
  readonly name: string;
  readonly args: readonly string[];
  /** Flags for its compiler. */
  readonly flags: readonly string[];
  /** What comes first, for people. */
  readonly order: string;
}

const SANDBOX = ["-include", `${SUBJECTS_DIR}/sandbox.h`];
const ORDERS = [
  { order: "dispatch, then the filter", flags: SANDBOX },
  { order: "the filter, then dispatch", flags: [...SANDBOX, "-DSANDBOX_EARLY"] },
];

/** Every subject of the list in both orders, but for those that need what the filter forbids. */
export function sandboxedVariants(): SandboxedVariant[] {
  return allVariants("sud_").flatMap(({ name, args }) =>
    ORDERS.filter(({ flags }) => !needs(variantName(name, args), flags))
      .map(({ order, flags }) => ({ name, args, flags, order }))
  );
}

/** Whether a subject itself has to make a call that the filter forbids. */
function needs(name: string, flags: readonly string[]): boolean {
  return flags === SANDBOX
    // The C library's calls are dispatched as well, and so is the one that installs the filter; prctl(2) turns
    // dispatch off and on again; glibc aborts where it may not unmap the stacks of many threads.
    ? ["sud_empty_range", "sud_leave", "sud_threads 16"].includes(name)
    // It queues signals with a siginfo of its own, by rt_tgsigqueueinfo(2).
    : name.startsWith("sud_pending");
}
