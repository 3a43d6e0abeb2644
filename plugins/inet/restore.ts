/**
 * The restore's hooks of the plugin `inet`.
 *
 * @module
 */
import type { RestoreHooks, RestoreSession } from "../../core/plugin.ts";
import { type BufferLimits, bufferLimits, isTooLarge } from "../../core/restore/socket_options.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import { isProvided } from "../external/provided.ts";
import { interfaceIndex } from "./interfaces.ts";
import { planRest, planSocket } from "./plan.ts";
import { loadSockets, type SavedSocket } from "./socket.ts";
import { takenProblems } from "./taken.ts";

/** The hooks of one restore. */
export function restoreInet({ images, machine, options, rehearsal }: RestoreSession): RestoreHooks {
  const sockets = new Map<number, SavedSocket>();
  let limits: BufferLimits = { force: false, send: 0, receive: 0 };
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.INETSK && file.isk !== undefined && !isProvided(file, images, options);
  const socketOf = ({ id }: file_entry): SavedSocket => sockets.get(id) as SavedSocket;
  return {
    load({ problem }) {
      const loaded = loadSockets(images, isMine, interfaceIndex);
      if (loaded.length === 0) return;
      for (const one of loaded) sockets.set(one.entry.id, one);
      limits = bufferLimits(machine.privileges);
      const large = loaded.find(({ entry: { opts } }) => isTooLarge(opts, limits));
      if (large !== undefined) {
        problem({
          what: `socket:[${large.entry.ino}] has larger buffers than this user may make`,
          hint: "raise net.core.wmem_max and net.core.rmem_max, or restore with CAP_NET_ADMIN",
        });
      }
      // The tree that is rehearsed has its ports itself.
      if (!rehearsal) { for (const one of takenProblems(loaded)) problem(one); }
    },
    descriptors: [{
      kind: "internet socket",
      restores: isMine,
      plan: ({ file, program }) => planSocket(program, socketOf(file), limits),
      connect: ({ file, program, fd }) => planRest(program, fd, socketOf(file), limits),
    }],
  };
}
