/**
 * Plugin `tty`: terminals of the tree.
 *
 * A pseudoterminal (pty(7)) whose master is in the tree is saved whole: both ends, modes and locked modes, window
 * size, packet mode, lock and exclusive use, owner and mode of its device node, the session that it controls with
 * its foreground group, what waits in either direction, and whether its output was stopped. Slaves that have been
 * hung up come back as such. What was opened as /dev/tty is opened again by a task of its session; consoles and
 * serial lines, unless they are standard streams, by their paths.
 *
 * Saved: CRIU's `tty_file_entry` for each open file, `tty_info_entry` for each end, and `tty_data_entry` for
 * what waits to be read; what CRIU has no place for in `tty-extra.img`.
 *
 * Slaves whose master is outside are not of this plugin: see `external`.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { TTY_DATA, TTY_EXTRA } from "../../images/kinds/files.ts";
import { checkpoint } from "./checkpoint.ts";
import { restore } from "./restore.ts";

/** The plugin. */
export const tty: Plugin = definePlugin({
  name: "tty",
  description: "pseudoterminals with what is in them, and what they control",
  images: [TTY_DATA, TTY_EXTRA],
  checkpoint,
  restore,
});
