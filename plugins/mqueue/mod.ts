/**
 * Plugin `mqueue`: POSIX message queues that are open.
 *
 * Saved in `mqueue.img`: name, owner, permissions, limits, the messages with their priorities (`messages.ts`), and how
 * each open file was opened. Restored by mq_open(3) and mq_send(3) in the seed. A queue stays when the tree ends, if
 * its name was not removed: one that is there is emptied and gets the messages of the images; noted where it has been used since.
 *
 * Who is to be told of the next message of an empty queue (mq_notify(3)) is read out of the kernel's memory with the
 * messages, since to receive them would set that off (`kernel_queue.ts`); the task itself asks for it again.
 *
 * Refused: queues that others have open, too, and those of whose next message somebody is to be told where the kernel's
 * memory cannot be read.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { MQUEUE } from "../../images/kinds/mqueue.ts";
import { checkpointMqueue } from "./checkpoint.ts";
import { restoreMqueue } from "./restore.ts";

/** The plugin. */
export const mqueue: Plugin = definePlugin({
  name: "mqueue",
  description: "POSIX message queues",
  images: [MQUEUE],
  checkpoint: checkpointMqueue,
  restore: restoreMqueue,
});
