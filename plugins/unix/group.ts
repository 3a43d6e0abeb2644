/**
 * Which sockets of the images have to be made together. Pure.
 *
 * @module
 */
import { STATE } from "../../core/linux/unix_diag.ts";
import type { unix_extra_entry, unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import type { Sender } from "./queue.ts";

/** A message that is to wait in a socket. */
export interface Message {
  readonly bytes: Uint8Array;
  /** Who sent it, where that is known. */
  readonly sender?: Sender;
}

/** A socket of the images. */
export interface SavedSocket {
  readonly entry: unix_sk_entry;
  readonly extra: unix_extra_entry | undefined;
  /** What is to wait in it, oldest first. */
  readonly queue: readonly Message[];
}

/** Sockets that are made together. */
export type Group =
  /** Connected to each other. */
  | { readonly kind: "pair"; readonly sockets: readonly [SavedSocket, SavedSocket] }
  /** Its peer is closed. */
  | { readonly kind: "widow"; readonly sockets: readonly [SavedSocket] }
  /** Never connected. */
  | { readonly kind: "single"; readonly sockets: readonly [SavedSocket] };

/** One that belongs to no group that can be made: why. */
export interface Misfit {
  readonly socket: SavedSocket;
  /** One clause: "its peer is not in the images". */
  readonly why: string;
}

/** Puts sockets into groups. */
export function groupSockets(
  sockets: readonly SavedSocket[],
): { readonly groups: Group[]; readonly misfits: Misfit[] } {
  const byInode = new Map(sockets.map((socket) => [socket.entry.ino, socket]));
  const groups: Group[] = [];
  const misfits: Misfit[] = [];
  const done = new Set<SavedSocket>();
  for (const socket of sockets) {
    if (done.has(socket)) continue;
    done.add(socket);
    const { peer, ino, state, name, uflags } = socket.entry;
    const misfit = (why: string): void => void misfits.push({ socket, why });
    if (uflags !== 0) misfit("it was connected to something outside of the tree");
    else if (state === STATE.LISTEN) misfit("it listens, which cannot be restored yet");
    else if (name.byteLength > 0) misfit("it has a name, which cannot be restored yet");
    else if (peer === 0) {
      groups.push({ kind: state === STATE.ESTABLISHED ? "widow" : "single", sockets: [socket] });
    } else {
      const other = byInode.get(peer);
      if (other === undefined) misfit("its peer is not in the images");
      else if (other === socket || other.entry.peer !== ino) {
        misfit("its peer is connected to another one, which cannot be restored yet");
      } else {
        done.add(other);
        groups.push({ kind: "pair", sockets: [socket, other] });
      }
    }
  }
  return { groups, misfits };
}
