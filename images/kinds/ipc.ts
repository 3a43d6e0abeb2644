/**
 * The images of System V IPC, by the id of the IPC namespace.
 *
 * @module
 */

import { ipc_msg_entrySchema } from "../gen/ipc-msg_pb.ts";
import { ipc_sem_entrySchema } from "../gen/ipc-sem_pb.ts";
import { ipc_shm_entrySchema } from "../gen/ipc-shm_pb.ts";
import { ipc_var_entrySchema } from "../gen/ipc-var_pb.ts";
import { messagesLength } from "../ipc_messages.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** The sysctls of the namespace. */
export const IPC_VAR = defineImageKind({
  name: "IPC_VAR",
  file: "ipcns-var-%u.img",
  magic: MAGICS.IPC_VAR,
  schema: ipc_var_entrySchema,
});

/** Shared memory; the extra is its contents, unless they are in a pagemap. */
export const IPCNS_SHM = defineImageKind({
  name: "IPCNS_SHM",
  file: "ipcns-shm-%u.img",
  magic: MAGICS.IPCNS_SHM,
  schema: ipc_shm_entrySchema,
  list: true,
  extra: { length: (shm) => shm.inPagemaps ? 0 : Number(shm.size), align: 4 },
});

/** Semaphore sets; the extra is the values, a little-endian u16 each. */
export const IPCNS_SEM = defineImageKind({
  name: "IPCNS_SEM",
  file: "ipcns-sem-%u.img",
  magic: MAGICS.IPCNS_SEM,
  schema: ipc_sem_entrySchema,
  list: true,
  extra: { length: (sem) => 2 * sem.nsems, align: 8 },
});

/** Message queues; the extra is the messages, see {@link decodeIpcMessages}. */
export const IPCNS_MSG = defineImageKind({
  name: "IPCNS_MSG",
  file: "ipcns-msg-%u.img",
  magic: MAGICS.IPCNS_MSG,
  schema: ipc_msg_entrySchema,
  list: true,
  extra: { length: messagesLength, align: 1 },
});
