/**
 * Plugin `signalfd`: descriptors of signalfd(2).
 *
 * Saved: a `signalfd_entry` of `files.img` with the mask and status flags from fdinfo. The signals that
 * wait are not the descriptor's but the reading task's (`fs/signalfd.c` dequeues from `current`), and are
 * saved with it.
 *
 * Restored: signalfd4(2). The kernel drops SIGKILL and SIGSTOP from the mask by itself.
 *
 * @module
 */
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import { O } from "../../core/linux/fcntl.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { signalfd_entry } from "../../images/gen/event_files_pb.ts";

/** The size of the kernel's signal set in bytes. */
const SIGSET_SIZE = 8;

/** The plugin. */
export const signalfd: Plugin = definePlugin({
  name: "signalfd",
  description: "descriptors of signalfd(2)",
  checkpoint: (session) => ({
    descriptors: [{
      kind: "signalfd",
      claims: claimsAnonymous(session.options, "signalfd"),
      dump({ descriptor, id, fown }) {
        const { flags, signalfd: sigmask = 0n } = descriptor.info;
        return { type: fd_types.SIGNALFD, sgfd: { id, flags: flags & ~O.CLOEXEC, fown, sigmask } };
      },
    }],
  }),
  restore: () => ({
    descriptors: [{
      kind: "signalfd",
      restores: (file) => file.type === fd_types.SIGNALFD && file.sgfd !== undefined,
      plan({ file, program }) {
        const { flags, sigmask } = file.sgfd as signalfd_entry;
        const nonblocking = flags & O.NONBLOCK;
        const bytes = new Uint8Array(new BigUint64Array([sigmask]).buffer);
        const mask = program.data(bytes, `signals 0x${sigmask.toString(16)}`);
        const fd = program.call("signalfd4", -1, mask, SIGSET_SIZE, O.CLOEXEC | nonblocking);
        planStatusFlags(program, fd, flags, nonblocking);
        return fd;
      },
    }],
  }),
});
