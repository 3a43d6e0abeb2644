/**
 * Plugin `sysv`: System V semaphores and message queues. Shared memory is the memory plugin's.
 *
 * | what | image | read by | brought back by |
 * |---|---|---|---|
 * | key, id, owner, maker, permissions | `ipcns-sem-3.img`, `ipcns-msg-3.img` | `/proc/sysvipc` | semget, msgget under `/proc/sys/kernel/*_next_id` |
 * | values | `ipcns-sem-3.img` | semctl(GETALL) | semctl(SETVAL) by who changed each last |
 * | adjustments (SEM_UNDO) | `sysv-use.img` | semop(2) that cannot be done (`undo.ts`) | semop(2) by their task |
 * | messages, in order | `ipcns-msg-3.img` | msgrcv(MSG_COPY) | msgsnd by who sent last |
 *
 * Objects outlive their users, and a restore finds them where the machine was not started again: those it gives the
 * values and messages of the images, and makes the others under their ids. Which are the tree's, and what becomes of
 * those that others use as well, `core/checkpoint/sysv_owners.ts` says.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { IPCNS_MSG, IPCNS_SEM, SYSV_USE } from "../../images/kinds/sysv_ipc.ts";
import { checkpointSysv } from "./checkpoint.ts";
import { restoreSysv } from "./restore.ts";

/** The plugin. */
export const sysv: Plugin = definePlugin({
  name: "sysv",
  description: "System V semaphores and message queues",
  images: [IPCNS_SEM, IPCNS_MSG, SYSV_USE],
  checkpoint: checkpointSysv,
  restore: restoreSysv,
});
