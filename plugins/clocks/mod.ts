/**
 * Plugin `clocks`: what the clocks said when the tree stood still. They are the machine's and go their own way; but
 * points in time that a program has noted mean something else where a clock has begun anew, which is told at the
 * restore. What becomes of timers and waits is the business of the plugins of those (docs/time.md).
 *
 * @module
 */
import { readClocks } from "../../core/linux/clocks.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { CLOCKS } from "../../images/kinds/time.ts";
import { clockNote } from "./moved.ts";

/** The plugin. */
export const clocks: Plugin = definePlugin({
  name: "clocks",
  description: "what the clocks said, to tell where they have begun anew",
  images: [CLOCKS],
  checkpoint: (session) => ({
    dumpTree: () => session.writer.write(CLOCKS, null, readClocks()),
  }),
  restore: (session) => ({
    load() {
      if (!session.images.has(CLOCKS, null)) return;
      const note = clockNote(session.images.read(CLOCKS, null), readClocks());
      if (note !== undefined) session.note(note);
    },
  }),
});
