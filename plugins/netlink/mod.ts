/**
 * Plugin `netlink`: sockets by which programs talk to the kernel, and hear of it: netlink(7).
 *
 * Saved: a `netlink_sk_entry` of `files.img` for each, as CRIU has it, and in `netlink-extra.img` the options that it
 * cannot say. All of it is read through a duplicate of the descriptor, when the tree stands still.
 *
 * Not saved, and so refused: messages that wait, which only the kernel could send again; and sockets of protocols for
 * which the kernel keeps more than it tells, see `protocol.ts`.
 *
 * Restored: each in the task that has it, under its own address. What the kernel has told its groups in the meantime it
 * has missed.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { NETLINK_EXTRA } from "../../images/kinds/netlink.ts";
import { checkpointNetlink } from "./checkpoint.ts";
import { restoreNetlink } from "./restore.ts";

/** The plugin. */
export const netlink: Plugin = definePlugin({
  name: "netlink",
  description: "netlink sockets",
  images: [NETLINK_EXTRA],
  checkpoint: checkpointNetlink,
  restore: restoreNetlink,
});
