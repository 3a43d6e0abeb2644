/**
 * Plugin `mqueue`: POSIX message queues that are open.
 *
 * Saved in `mqueue.img`: name, owner, permissions, limits, the messages with their priorities (`messages.ts`), and how
 * each open file was opened. Restored by mq_open(3) and mq_send(3) in the seed. A queue stays when the tree ends, if
 * its name was not removed: one that is there is emptied and gets the messages of the images; noted where it has been used since.
 *
 * Refused: queues that others have open, too, and those of whose next message somebody is to be told (mq_notify(3)),
 * since the kernel tells neither the value of the signal nor who waits for it in a thread.
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
