/**
 * Launchers that put a program into a sandbox of namespaces and filters, and how Stasis gets into those namespaces: by
 * nsenter(1) for a checkpoint, by the launcher itself, without filters, for a restore.
 *
 * @module
 */

/** A launcher. */
export interface Launcher {
  /** A shell script that starts its arguments in a new sandbox. A filter of systemd's lies in `filter.bpf`. */
  readonly start: string;
  /** One that starts its arguments in the same namespaces without the filters. */
  readonly startTool: string;
  /** Options of nsenter for the namespaces that it makes. */
  readonly enter: readonly string[];
  /**
   * Whether its process 1 ends as soon as the program has, and the kernel then kills whatever is in that pid
   * namespace, the tool, too. The images are safe by then.
   */
  readonly endsTool?: boolean;
}

/** Makes pids from 1000 on the next ones, so that those of the program are free. */
const LEAVE_PIDS = "echo 1000 >/proc/sys/kernel/ns_last_pid";

/** By their names. */
export const LAUNCHERS = {
  "bwrap": {
    start: 'exec bwrap --dev-bind / / --seccomp 9 "$@" 9<filter.bpf',
    startTool: 'exec bwrap --dev-bind / / "$@"',
    enter: ["--mount"],
  },
  // The program is process 2 in there, below a process 1 of bwrap's. With --as-pid-1 there is none, so that 2 is free.
  "bwrap --unshare-pid": {
    start: 'exec bwrap --unshare-pid --dev-bind / / --proc /proc --seccomp 9 "$@" 9<filter.bpf',
    startTool:
      `exec bwrap --unshare-pid --as-pid-1 --dev-bind / / --proc /proc sh -c '${LEAVE_PIDS} || exit; "$@"; exit $?' sh "$@"`,
    enter: ["--mount", "--pid"],
    endsTool: true,
  },
  // The program is process 2 here as well, and so is at first what starts the tool. /proc/sys is read-only.
  "firejail --seccomp": {
    start: 'exec firejail --quiet --noprofile --seccomp -- "$@"',
    startTool:
      `exec firejail --quiet --noprofile -- sh -c 'mount -o remount,rw,bind /proc/sys && ${LEAVE_PIDS} || exit
      { while [ -d /proc/2 ]; do sleep 0.05; done; exec "$@"; } &' sh "$@"`,
    enter: ["--mount", "--pid", "--ipc", "--uts"],
  },
} as const satisfies Record<string, Launcher>;
