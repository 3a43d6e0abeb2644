/**
 * Test support: every kind of image under `kinds/`. Plugins have kinds of their own beside these.
 *
 * @module
 */

import type { ImageKind } from "./kind.ts";
import * as core from "./kinds/core.ts";
import { CGROUP } from "./kinds/cgroups.ts";
import { CREDS } from "./kinds/credentials.ts";
import { DNOTIFY } from "./kinds/dnotify.ts";
import { EPOLL_EXTRA } from "./kinds/epoll_extra.ts";
import { EXTERNAL } from "./kinds/external.ts";
import * as files from "./kinds/files.ts";
import { INET_EXTRA, INET_LOCK, TCP_STREAM } from "./kinds/inet.ts";
import * as memory from "./kinds/memory.ts";
import { MM_EXTRA } from "./kinds/mm_extra.ts";
import { MQUEUE } from "./kinds/mqueue.ts";
import { NETLINK_EXTRA } from "./kinds/netlink.ts";
import { PACKET_EXTRA } from "./kinds/packet.ts";
import { SECCOMP } from "./kinds/seccomp.ts";
import { LINEAGE } from "./kinds/lineage.ts";
import { MANIFEST } from "./kinds/manifest.ts";
import { PHASES } from "./kinds/phases.ts";
import { SUD } from "./kinds/sud.ts";
import { IPCNS_MSG, IPCNS_SEM, IPCNS_SHM, SYSV_USE } from "./kinds/sysv_ipc.ts";
import { CLOCKS, DEADLINES, WAITS } from "./kinds/time.ts";
import { UNIX_EXTRA } from "./kinds/unix_extra.ts";

/** Kinds that CRIU has too. */
export const CRIU_KINDS: readonly ImageKind[] = [
  core.INVENTORY,
  core.PSTREE,
  core.CORE,
  core.IDS,
  CREDS,
  memory.MM,
  memory.PAGEMAP,
  memory.SHMEM_PAGEMAP,
  memory.PARENT_PAGEMAP,
  memory.PARENT_SHMEM_PAGEMAP,
  memory.MEMFD_INODE,
  files.FDINFO,
  files.FILES,
  files.FS,
  files.REMAP_FPATH,
  files.GHOST_FILE,
  files.PIPES_DATA,
  files.FIFO_DATA,
  files.SK_QUEUES,
  TCP_STREAM,
  files.TTY_INFO,
  files.TTY_DATA,
  files.FILE_LOCKS,
  SECCOMP,
  IPCNS_SHM,
  IPCNS_SEM,
  IPCNS_MSG,
  CGROUP,
];

/** Kinds that only Stasis has. */
export const OWN_KINDS: readonly ImageKind[] = [
  SUD,
  MM_EXTRA,
  UNIX_EXTRA,
  INET_EXTRA,
  INET_LOCK,
  NETLINK_EXTRA,
  PACKET_EXTRA,
  EPOLL_EXTRA,
  EXTERNAL,
  MANIFEST,
  LINEAGE,
  PHASES,
  CLOCKS,
  DEADLINES,
  WAITS,
  SYSV_USE,
  DNOTIFY,
  MQUEUE,
  files.TTY_EXTRA,
  files.LINK_REMAPS,
  files.FILE_TIMES,
  files.FILE_LENGTHS,
];

/** All of them. */
export const IMAGE_KINDS: readonly ImageKind[] = [...CRIU_KINDS, ...OWN_KINDS];
