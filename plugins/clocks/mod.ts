/**
 * Plugin `clocks`: what the tree's clocks said when it stood still, and its time namespace. CLOCK_MONOTONIC and
 * CLOCK_BOOTTIME are the machine's, ahead or behind by what the namespace says (time_namespaces(7)). A restored tree gets
 * a namespace where it needs one (`session.clocks`); else what it will find strange is told at the restore. What becomes
 * of timers and waits is the business of the plugins of those (docs/time.md).
 *
 * @module
 */
import { CLOCK } from "../../core/linux/clock_numbers.ts";
import { clockLead, readClocks } from "../../core/linux/clocks.ts";
import { O } from "../../core/linux/fcntl.ts";
import {
  type ClockOffsets,
  formatClockOffsets,
  readClockOffsets,
} from "../../core/linux/procfs/mod.ts";
import { definePlugin, type FrozenTree, type Plugin } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { CLOCKS } from "../../images/kinds/time.ts";

const AT_FDCWD = -100;
/** Of clone(2) and unshare(2) (`include/uapi/linux/sched.h`). */
const CLONE_NEWTIME = 0x80;

/** The plugin. */
export const clocks: Plugin = definePlugin({
  name: "clocks",
  description: "what the clocks said, and time namespaces",
  images: [CLOCKS],
  checkpoint: (session) => ({
    dumpTree({ tasks: [root] }: FrozenTree) {
      const own = readClockOffsets(Deno.pid);
      const offsets = root === undefined ? own : readClockOffsets(root.proc.liveTid);
      const monotonic = clockLead(CLOCK.MONOTONIC, offsets, own);
      const boottime = clockLead(CLOCK.BOOTTIME, offsets, own);
      const now = readClocks();
      session.writer.write(CLOCKS, null, {
        ...now,
        monotonic: now.monotonic + monotonic,
        boottime: now.boottime + boottime,
        offsets,
      });
      // What ignores that would have the clocks jump.
      if (monotonic !== 0n || boottime !== 0n) session.requirePlugin();
    },
  }),
  restore: (session) => ({
    load() {
      const { note } = session.clocks;
      if (note !== undefined && !session.rehearsal) session.note(note);
    },
    planTree(tree) {
      const { namespace } = session.clocks;
      if (namespace !== undefined) planTimeNamespace(tree.birthplace, namespace);
    },
  }),
});

/** Adds calls that give the next children of the one who makes them a new time namespace. */
function planTimeNamespace(program: SyscallProgram, offsets: ClockOffsets): void {
  const text = formatClockOffsets(offsets);
  const bytes = new TextEncoder().encode(text);
  program.call("unshare", CLONE_NEWTIME);
  const fd = program.call("openat", AT_FDCWD, "/proc/self/timens_offsets", O.WRONLY, 0);
  const length = bytes.length;
  program.expect(BigInt(length), "write", fd, program.data(bytes, JSON.stringify(text)), length);
  program.call("close", fd);
}
