/**
 * What the images have of a unix socket.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { SCM } from "../../core/linux/net/control_message.ts";
import { SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import type { CheckpointSession, DescriptorDump, FileImage } from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { SK_QUEUES } from "../../images/kinds/files.ts";
import { UNIX_EXTRA } from "../../images/kinds/unix_extra.ts";
import { UNIX_EXTERN } from "./group.ts";
import { commonIdentity } from "./holders.ts";
import { inodeOf, type Look, outsidePeer } from "./look.ts";
import { isUnknown } from "./queue.ts";

/** All that a socket outside has in the images. */
const NO_OPTIONS = {
  soSndbuf: 0,
  soRcvbuf: 0,
  soSndTmoSec: 0n,
  soSndTmoUsec: 0n,
  soRcvTmoSec: 0n,
  soRcvTmoUsec: 0n,
};

/** The sockets outside that are written, by the writer of the images. */
const outsiders = new WeakMap<object, Set<number>>();

/** Writes a socket outside, of which only the name matters. CRIU reads those of SOCK_DGRAM. */
function writeOutside(
  { writer, files, requirePlugin }: CheckpointSession,
  { ino, type, name }: UnixSocket,
): void {
  let written = outsiders.get(writer);
  if (written === undefined) outsiders.set(writer, written = new Set());
  if (written.has(ino)) return;
  written.add(ino);
  if (type !== SOCK.DGRAM) requirePlugin();
  files.add((id) => ({
    type: fd_types.UNIXSK,
    usk: {
      id,
      ino,
      type,
      state: STATE.LISTEN,
      flags: 0,
      uflags: UNIX_EXTERN,
      backlog: 0,
      peer: 0,
      fown: NO_OWNER,
      opts: NO_OPTIONS,
      name,
    },
  }));
}

/** Writes what waits in a socket. @param rights the ids of the open files that come with it */
export function writeMessage(
  writer: CheckpointSession["writer"],
  id: number,
  bytes: Uint8Array,
  rights: readonly number[] = [],
): void {
  const scm = rights.length === 0 ? [] : [{ type: SCM.RIGHTS, rights: [...rights] }];
  writer.append(SK_QUEUES, null, { idFor: id, length: bytes.byteLength, scm }, bytes);
}

/** The connections that wait at a listening socket and whose other end is closed. */
function closedAt(
  { ino, waiting }: UnixSocket,
  { sent }: Look["surroundings"],
): { readonly place: number; readonly sent: Uint8Array<ArrayBuffer>[] }[] {
  return waiting.flatMap((client, place) => {
    const messages = sent.get(ino)?.[place];
    return client !== 0 || messages === undefined ? [] : [{ place, sent: [...messages] }];
  });
}

/** Writes what the images have of a socket besides its entry. @returns that */
export function dumpSocket(
  session: CheckpointSession,
  { descriptor, id, fown }: DescriptorDump,
  { surroundings, states, holders }: Look,
): FileImage {
  const ino = inodeOf(descriptor);
  const socket = surroundings.sockets.get(ino);
  const state = states.get(ino);
  if (socket === undefined || state === undefined) {
    throw new StasisError("internal", `socket:[${ino}] was not looked at`);
  }
  const { writer, requirePlugin } = session;
  const { options: { opts, more }, filter, peer, reset, queue, place } = state;
  // Only of datagrams: the other end of a connection has its name anyway.
  const named = socket.type === SOCK.DGRAM && queue.some(({ from }) => from.byteLength > 0);
  const outside = outsidePeer(ino, surroundings);
  if (outside !== undefined) writeOutside(session, outside);
  const signed = queue.some(({ sender }) => sender !== undefined && !isUnknown(sender));
  const urgent = queue.some(({ isUrgent }) => isUrgent === true);
  const messages = !named && !signed && !urgent ? [] : queue.map(({ sender, from, isUrgent }) => ({
    sender,
    from: named && from.byteLength > 0 ? from : undefined,
    urgent: isUrgent,
  }));
  // Without these a program sees a difference, even one that does not look who its peer is.
  const orphan = socket.type === SOCK.DGRAM && socket.peer === 0;
  const listener = surroundings.sockets.get(surroundings.waiting.get(ino) ?? 0);
  const waits = listener?.waiting.indexOf(ino) ?? -1;
  const sent = surroundings.sent.get(listener?.ino ?? 0)?.[waits] ?? [];
  const closed = session.options.skipInFlight === true ? [] : closedAt(socket, surroundings);
  const needed = sent.length > 0 || closed.length > 0 || reset || orphan || more.length > 0 ||
    messages.length > 0 ||
    place.moved !== undefined;
  if (needed) requirePlugin();
  const connects = listener !== undefined || outside !== undefined;
  if (peer !== undefined || needed || connects) {
    writer.append(UNIX_EXTRA, null, {
      id,
      peer,
      reset: reset || undefined,
      orphan: orphan || undefined,
      options: [...more],
      messages,
      connector: connects ? commonIdentity(holders.get(ino) ?? []) : undefined,
      place: listener?.waiting.indexOf(ino),
      filePath: place.moved,
      sent: [...sent],
      closed,
    });
  }
  return {
    type: fd_types.UNIXSK,
    usk: {
      id,
      ino,
      type: socket.type,
      state: socket.state,
      flags: descriptor.info.flags & ~O.CLOEXEC,
      uflags: 0,
      backlog: socket.state === STATE.LISTEN ? socket.sendQueue : 0,
      peer: listener?.ino ?? socket.peer ?? 0,
      fown,
      opts: { ...opts, soFilter: [...filter] },
      name: socket.name,
      shutdown: socket.shutdown,
      filePerms: place.perms,
      nameDir: place.directory,
      deleted: place.deleted || undefined,
    },
  };
}
