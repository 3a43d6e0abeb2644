/**
 * Plugin `unix`: unix sockets within the tree, with what waits in them.
 *
 * Saved: a `unix_sk_entry` of `files.img` for each socket, as CRIU has it, with what waits in it in
 * `sk-queues.img`; and in `unix-extra.img` what these cannot say. Which socket is connected to which the kernel
 * tells by netlink (sock_diag(7)). All that is read of a socket is read through a duplicate of its descriptor, when
 * the tree stands still, and nothing is taken out of it.
 *
 * Restored: sockets that belong together are made in one task, the one that made them before if it is in the tree,
 * and handed on from there by the core; connections by the task that connected. See `group.ts` for what belongs together, and `plan.ts`.
 *
 * A socket whose other end is outside of the tree is refused, unless the user names it as external, or has it
 * connected to the name of that end again.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { SK_QUEUES } from "../../images/kinds/files.ts";
import { UNIX_EXTRA } from "../../images/kinds/unix_extra.ts";
import { checkpointUnix } from "./checkpoint.ts";
import { unixFeatures } from "./features.ts";
import { restoreUnix } from "./restore.ts";

/** The plugin. */
export const unix: Plugin = definePlugin({
  name: "unix",
  description: "unix sockets with what waits in them",
  images: [SK_QUEUES, UNIX_EXTRA],
  check: unixFeatures,
  checkpoint: checkpointUnix,
  restore: restoreUnix,
});
