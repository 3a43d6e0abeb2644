/**
 * All image kinds that Stasis knows. It loads every schema: commands that read a few kinds import those from
 * `kinds/` instead.
 *
 * @module
 */

import { imageIdOf, type ImageKind, type RawImageKind } from "./kind.ts";
import * as core from "./kinds/core.ts";
import { EXTERNAL } from "./kinds/external.ts";
import * as files from "./kinds/files.ts";
import * as ipc from "./kinds/ipc.ts";
import { LEGACY_KINDS } from "./kinds/legacy.ts";
import * as memory from "./kinds/memory.ts";
import * as namespaces from "./kinds/namespaces.ts";
import { SECCOMP } from "./kinds/seccomp.ts";
import * as sockets from "./kinds/sockets.ts";
import { STATS } from "./kinds/stats.ts";
import { MM_EXTRA } from "./kinds/mm_extra.ts";
import { SUD } from "./kinds/sud.ts";

/** Every framed kind: CRIU's by topic, then Stasis's own, then those that CRIU 4.2 no longer writes. */
export const IMAGE_KINDS: readonly ImageKind[] = [
  core.INVENTORY,
  core.PSTREE,
  core.CORE,
  core.IDS,
  memory.MM,
  memory.PAGEMAP,
  memory.SHMEM_PAGEMAP,
  memory.MEMFD_INODE,
  files.FDINFO,
  files.FILES,
  files.FS,
  files.REMAP_FPATH,
  files.GHOST_FILE,
  files.PIPES_DATA,
  files.FIFO_DATA,
  files.TTY_INFO,
  files.TTY_DATA,
  files.FILE_LOCKS,
  sockets.SK_QUEUES,
  sockets.TCP_STREAM,
  ipc.IPC_VAR,
  ipc.IPCNS_SHM,
  ipc.IPCNS_SEM,
  ipc.IPCNS_MSG,
  namespaces.UTSNS,
  namespaces.USERNS,
  namespaces.TIMENS,
  namespaces.PIDNS,
  namespaces.MNTS,
  namespaces.NS_FILES,
  namespaces.CGROUP,
  SECCOMP,
  STATS,
  SUD,
  MM_EXTRA,
  EXTERNAL,
  ...LEGACY_KINDS,
];

/** Every kind of file without frames. */
export const RAW_IMAGE_KINDS: readonly RawImageKind[] = [memory.PAGES];

/**
 * Finds out what a file of an image directory is.
 *
 * @param fileName The name without its directory.
 * @param kinds The kinds to choose from: {@link IMAGE_KINDS} and those of plugins.
 * @returns The kind, or undefined where none has files of that name.
 */
export function kindOfFile<Kind extends ImageKind | RawImageKind>(
  fileName: string,
  kinds: readonly Kind[],
): Kind | undefined {
  return kinds.find((kind) => imageIdOf(kind, fileName) !== undefined);
}
