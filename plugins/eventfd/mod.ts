/**
 * Plugin `eventfd`: the counters of eventfd(2).
 *
 * Saved: an `eventfd_file_entry` of `files.img` with the counter and status flags, all from fdinfo. CRIU has
 * no field for EFD_SEMAPHORE. Here it is bit 0 of the flags: the kernel opens every eventfd O_RDWR (2), so
 * an access mode of 3 is no other file's; and the images then name this plugin, since CRIU would restore
 * a plain counter. A kernel before 6.5 does not show the bit, so it is found out by reading and putting
 * back (`probeSemaphore()`).
 *
 * Restored: eventfd2(2) with 0 and a write(2), because the initial value that eventfd2 takes has 32 bits
 * only and the counter 64.
 *
 * @module
 */
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import { O, probeSemaphore } from "../../core/linux/fcntl.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { eventfd_file_entry } from "../../images/gen/event_files_pb.ts";

/** EFD_SEMAPHORE (`include/uapi/linux/eventfd.h`). */
const EFD_SEMAPHORE = 1;

/** The plugin. */
export const eventfd: Plugin = definePlugin({
  name: "eventfd",
  description: "counters of eventfd(2)",
  checkpoint: (session) => ({
    descriptors: [{
      kind: "eventfd",
      claims: claimsAnonymous(session.options, "eventfd"),
      dump({ descriptor, id, fown, fd }) {
        const { flags, eventfd: info } = descriptor.info;
        const counter = info?.count ?? 0n;
        const semaphore = info?.semaphore ?? probeSemaphore(fd, counter);
        if (semaphore) session.requirePlugin();
        const kept = flags & ~O.CLOEXEC | (semaphore ? EFD_SEMAPHORE : 0);
        return { type: fd_types.EVENTFD, efd: { id, flags: kept, fown, counter } };
      },
    }],
  }),
  restore: () => ({
    descriptors: [{
      kind: "eventfd",
      restores: (file) => file.type === fd_types.EVENTFD && file.efd !== undefined,
      plan({ file, program }) {
        const { flags, counter } = file.efd as eventfd_file_entry;
        const nonblocking = flags & O.NONBLOCK;
        const fd = program.call("eventfd2", 0, O.CLOEXEC | nonblocking | flags & EFD_SEMAPHORE);
        if (counter > 0n) {
          const bytes = new Uint8Array(new BigUint64Array([counter]).buffer);
          program.expect(8n, "write", fd, program.data(bytes, `${counter}`), 8);
        }
        planStatusFlags(program, fd, flags, nonblocking);
        return fd;
      },
    }],
  }),
});
