/**
 * The images of System V IPC, by the `ipc_ns_id` of the tasks ({@link IPC_NAMESPACE}).
 *
 * @module
 */
import {
  type ipc_msg_entry,
  ipc_msg_entrySchema,
  type ipc_sem_entry,
  ipc_sem_entrySchema,
  type ipc_shm_entry,
  ipc_shm_entrySchema,
  sysv_use_entrySchema,
} from "../gen/sysv_ipc_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";
import { decodeQueued } from "../sysv_messages.ts";

/** The `ipc_ns_id` of every task: they are all in the tool's IPC namespace. */
export const IPC_NAMESPACE = 3;

/** What is added to the id of a segment in the name of its `pagemap-shmem-ID.img`: other numbers are inodes. */
export const SEGMENT_PAGES = 1n << 32n;

/** Segments of shared memory. */
export const IPCNS_SHM = defineImageKind({
  name: "IPCNS_SHM",
  file: "ipcns-shm-%u.img",
  magic: MAGICS.IPCNS_SHM,
  schema: ipc_shm_entrySchema,
  list: true,
  extra: {
    length: ({ size, inPagemaps }: ipc_shm_entry) => inPagemaps ? 0 : Number((size + 3n) & ~3n),
  },
});

/** Sets of semaphores. */
export const IPCNS_SEM = defineImageKind({
  name: "IPCNS_SEM",
  file: "ipcns-sem-%u.img",
  magic: MAGICS.IPCNS_SEM,
  schema: ipc_sem_entrySchema,
  list: true,
  extra: { length: ({ nsems }: ipc_sem_entry) => Math.ceil(nsems / 4) * 8 },
});

/** Queues of messages. */
export const IPCNS_MSG = defineImageKind({
  name: "IPCNS_MSG",
  file: "ipcns-msg-%u.img",
  magic: MAGICS.IPCNS_MSG,
  schema: ipc_msg_entrySchema,
  list: true,
  extra: { length: ({ qnum }: ipc_msg_entry, rest) => decodeQueued(rest, qnum)?.size },
});

/** Who has used semaphores and queues, and what is undone when a process ends. The magic reads `SVU1` in the file. */
export const SYSV_USE = defineImageKind({
  name: "SYSV_USE",
  file: "sysv-use.img",
  magic: 0x31555653,
  schema: sysv_use_entrySchema,
  list: true,
});
