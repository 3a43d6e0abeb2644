/**
 * What of a checkpoint the user may choose: the options of `stasis checkpoint` that other commands have, too.
 *
 * @module
 */
import type { OperationOptions } from "../core/plugin.ts";
import type { OptionDescriptions, OptionValues } from "./command.ts";
import {
  AROUND_OPTIONS,
  CGROUP_ROOT,
  CGROUP_YARD,
  FILE_VALIDATION,
  MANAGE_CGROUPS,
  NETWORK_LOCK,
  parseCgroupRoots,
  parseFileValidation,
  parseManageCgroups,
  parseNetworkLock,
  parseSeconds,
  parseSize,
} from "./options.ts";

/** The options. */
export const CHECKPOINT_OPTIONS = {
  external: {
    flags: "--external <resource>",
    description: "something that restore will provide; repeatable",
    repeatable: true,
  },
  deadEnd: {
    flags: "--dead-end <resource>",
    description:
      "a pipe or socket that others outside have, too, and that is cut off from them: a reader sees the end, a writer gets EPIPE; repeatable",
    repeatable: true,
  },
  deadEnds: { flags: "--dead-ends", description: "the same of all that are no standard streams" },
  shellJob: {
    flags: "-j, --shell-job",
    description: "accepted as by CRIU: the terminal of a shell is always given anew at restore",
  },
  linkRemap: {
    flags: "--link-remap",
    description:
      "give a deleted file whose other names are not found one for the images, until they are restored",
  },
  fileLocks: {
    flags: "-l, --file-locks",
    description: "accepted as by CRIU: locks of files are always saved",
  },
  ghostLimit: {
    flags: "--ghost-limit <size>",
    description: "save deleted files up to this size, as 8M (default: 1M)",
  },
  ghostFiemap: {
    flags: "--ghost-fiemap",
    description: "accepted as by CRIU: holes of deleted files are always found, however many",
  },
  noGhostFiemap: { flags: "--no-ghost-fiemap", description: "the same" },
  snapshot: {
    flags: "--snapshot",
    description:
      "write large memory of a tree that is left running while it runs: before it stands still, and what is written to meanwhile afterwards, from a copy-on-write image; so it is unless --no-snapshot is given",
  },
  noSnapshot: {
    flags: "--no-snapshot",
    description: "let a tree that is left running stand still until all its memory is written",
  },
  snapshotLimit: {
    flags: "--snapshot-limit <size>",
    description:
      "of a snapshot: how much memory copies may take, as 2G (default: half of what is free); behind that the tree stands still until all is written",
  },
  compare: {
    flags: "--compare",
    description:
      "find what has changed since the checkpoint before by comparing memory with it, even where it could be tracked",
  },
  rollbackFiles: {
    flags: "--rollback-files",
    description:
      "save how files that are open for writing are, so that a restore can cut back what is appended from now on",
  },
  fileValidation: {
    ...FILE_VALIDATION,
    description:
      "what is saved for a restore to tell changed files by: buildid (the default), size, mtime, none",
  },
  timeout: {
    flags: "--timeout <seconds>",
    description:
      "how long they may stand still before their memory is written (default: 10; 0: no limit)",
  },
  tcpEstablished: {
    flags: "--tcp-established",
    description:
      "save TCP connections to outside of the tree; the other ends wait until it is restored",
  },
  tcpClose: {
    flags: "--tcp-close",
    description: "close TCP connections: they come back shut down",
  },
  skipInFlight: {
    flags: "--skip-in-flight",
    description: "leave out connections that wait to be accepted and cannot be saved",
  },
  extUnixSk: {
    flags: "-x, --ext-unix-sk",
    description:
      "save unix sockets connected to one with a name outside of the tree: they are connected to that name again",
  },
  networkLock: NETWORK_LOCK,
  manageCgroups: {
    ...MANAGE_CGROUPS,
    description:
      "what the restore will be asked for: none, props, soft, full, strict; ignore: save no control groups",
  },
  cgroupRoot: {
    ...CGROUP_ROOT,
    description:
      "[CONTROLLER:]PATH, the control group from which on they are saved with their settings; repeatable",
  },
  cgroupYard: CGROUP_YARD,
  ...AROUND_OPTIONS,
} as const satisfies OptionDescriptions;

/** Reads them. @throws {StasisError} `usage` */
export function readCheckpointOptions(
  options: OptionValues<typeof CHECKPOINT_OPTIONS>,
): OperationOptions {
  parseNetworkLock(options.networkLock);
  return {
    external: options.external ?? [],
    deadEnds: options.deadEnd ?? [],
    allDeadEnds: options.deadEnds ?? false,
    ghostLimit: options.ghostLimit === undefined ? undefined : parseSize(options.ghostLimit),
    linkRemap: options.linkRemap,
    snapshot: options.snapshot,
    snapshotLimit: options.snapshotLimit === undefined
      ? undefined
      : parseSize(options.snapshotLimit),
    compare: options.compare,
    rollbackFiles: options.rollbackFiles,
    fileValidation: parseFileValidation(options.fileValidation),
    tcpEstablished: options.tcpEstablished,
    tcpClose: options.tcpClose,
    skipInFlight: options.skipInFlight,
    externalUnixSockets: options.extUnixSk,
    manageCgroups: parseManageCgroups(options.manageCgroups),
    cgroupRoots: parseCgroupRoots(options.cgroupRoot ?? []),
    timeout: options.timeout === undefined ? undefined : parseSeconds(options.timeout),
  };
}
