/**
 * What to do about descriptors and mappings that no plugin saves, by what the kernel calls what is behind them. Pure.
 *
 * @module
 */

const ELSE = "close it first, or write a plugin that claims it (docs/plugins.md)";

/** By the names of `anon_inode_getfile()` and its like, without brackets. */
const HINTS: readonly (readonly [name: RegExp, hint: string])[] = [
  [
    /^io_uring$/,
    "start the program so that it uses none: many fall back where kernel.io_uring_disabled is 2 (docs/io_uring.md)",
  ],
  [/^userfaultfd$/, "have the program unregister its memory and close its userfaultfd first"],
  [/^perf_event$/, "end the measurement of performance first"],
  [/^(bpf|btf)/, "have the program close its BPF objects first; pinned ones stay where they are"],
  [/^kvm-/, "save or end the virtual machine by its own means first"],
  [
    /^landlock-ruleset$/,
    "have the program close its rules of Landlock: those that are in force stay",
  ],
];

/**
 * What to do about one.
 *
 * @param name what readlink(2) or `/proc/PID/maps` says: `anon_inode:[io_uring]`
 */
export function hintFor(name: string): string {
  const kind = /^anon_inode:\[?(.*?)\]?$/.exec(name)?.[1];
  return HINTS.find(([pattern]) => kind !== undefined && pattern.test(kind))?.[1] ?? ELSE;
}
