/**
 * Plugin `packet`: sockets that take packets from interfaces as they are, and send such: packet(7).
 *
 * Saved: a `packet_sock_entry` of `files.img` for each, as CRIU has it, and in `packet-extra.img` the options that it
 * cannot say. What it is comes from sock_diag(7), and the rest is read through a duplicate of the descriptor, when the
 * tree stands still. Packets that wait are left out, which is said: any may be dropped at any time.
 *
 * A ring (PACKET_RX_RING, PACKET_TX_RING) is made anew, empty. No plugin saves the mapping of one, so that a program that
 * has mapped its ring is refused.
 *
 * Restored: each in the task that has it. It is bound last, so that nothing comes past its filter.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { PACKET_EXTRA } from "../../images/kinds/packet.ts";
import { checkpointPacket } from "./checkpoint.ts";
import { restorePacket } from "./restore.ts";

/** The plugin. */
export const packet: Plugin = definePlugin({
  name: "packet",
  description: "packet sockets",
  images: [PACKET_EXTRA],
  checkpoint: checkpointPacket,
  restore: restorePacket,
});
