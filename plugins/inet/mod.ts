/**
 * Plugin `inet`: sockets of networks, TCP, UDP and others of IPv4 and IPv6.
 *
 * Saved: an `inet_sk_entry` of `files.img` for each socket, as CRIU has it; and in `inet-extra.img` what that cannot
 * say: messages that wait or are begun, what is left of a connection that is over, and all options that a new socket does
 * not have. All that is read of a socket is read through a duplicate of its descriptor, or out of the kernel's memory, when
 * the tree stands still, and nothing is taken out of it.
 *
 * Restored: each in the task that has it, see `plan.ts`.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { INET_EXTRA, INET_LOCK, TCP_STREAM } from "../../images/kinds/inet.ts";
import { checkpointInet } from "./checkpoint.ts";
import { restoreInet } from "./restore.ts";

/** The plugin. */
export const inet: Plugin = definePlugin({
  name: "inet",
  description: "sockets of networks: TCP, UDP and others",
  images: [TCP_STREAM, INET_EXTRA, INET_LOCK],
  checkpoint: checkpointInet,
  restore: restoreInet,
});
