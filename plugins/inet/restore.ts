/**
 * The restore's hooks of the plugin `inet`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { openPidfd, takeDescriptor } from "../../core/linux/pidfd.ts";
import type { RestoreHooks, RestoreSession } from "../../core/plugin.ts";
import { type BufferLimits, bufferLimits, isTooLarge } from "../../core/restore/socket_options.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import type { inet_lock_entry } from "../../images/gen/inet_pb.ts";
import { isProvided } from "../external/provided.ts";
import { INET_LOCK } from "../../images/kinds/inet.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { keyOfEnds } from "./connection_key.ts";
import { heldBackNote } from "./held_back.ts";
import { interfaceIndex, interfaceName } from "../../core/linux/net/interfaces.ts";
import { liveProblems } from "./live_connections.ts";
import {
  isTableName,
  lockMessages,
  NetworkLock,
  openingCalls,
  openLock,
  tableName,
} from "./network_lock.ts";
import { movedMemberships } from "./memberships.ts";
import { fillingsOf, listenerProblems } from "./fillings.ts";
import { readRawSockets } from "./listed_raw.ts";
import { type Filling, planRest, planSocket } from "./plan.ts";
import { planEnded } from "./plan_ended.ts";
import { planOrphaned } from "./plan_orphaned.ts";
import { isConnecting, numbersOf, planConnecting, planRelease, planStream } from "./plan_stream.ts";
import type { Numbers } from "./plan_segment.ts";
import { isTcp } from "./protocol.ts";
import { loadSockets, type SavedSocket } from "./socket.ts";
import { takenProblems } from "./taken.ts";
import { repairForGood } from "./tcp_stream.ts";

/** The hooks of one restore. */
export function restoreInet(
  { images, machine, note, options, rehearsal }: RestoreSession,
): RestoreHooks {
  const sockets = new Map<number, SavedSocket>();
  let limits: BufferLimits = { force: false, send: 0, receive: 0 };
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.INETSK && file.isk !== undefined && !isProvided(file, images, options);
  const socketOf = ({ id }: file_entry): SavedSocket => sockets.get(id) as SavedSocket;
  /** Descriptors of the connections. */
  const connections: { readonly pid: number; readonly fd: number }[] = [];
  /** What holds back packets of connections until the tree runs. */
  let meanwhile: NetworkLock | undefined;
  /** The name of the table that holds back packets since the checkpoint. */
  let table: string | undefined;
  /** The connections of the images, by their ends. */
  const ends = new Map<string, Numbers>();
  const otherEnd = ({ own, peer }: SavedSocket): Numbers | undefined =>
    ends.get(keyOfEnds(peer, own));
  /** The connections whose other ends are outside of the tree. */
  const orphans = () =>
    [...sockets.values()].filter((socket) =>
      socket.stream !== undefined && otherEnd(socket) === undefined
    );
  /** What sockets are filled by, by their ids. */
  const fillings = new Map<number, Filling>();
  const fillingOf = ({ entry: { id } }: SavedSocket): Filling => fillings.get(id) ?? {};
  return {
    load({ problem }) {
      const lock = images.has(INET_LOCK, null) ? loadLock(images) : undefined;
      table = lock?.table;
      const loaded = loadSockets(images, isMine, options.tcpClose === true, interfaceIndex);
      if (loaded.length === 0) return;
      for (const one of loaded) {
        sockets.set(one.entry.id, one);
        const { stream, own, peer } = one;
        if (stream !== undefined) ends.set(keyOfEnds(own, peer), numbersOf(one, stream));
      }
      for (const [id, filling] of fillingsOf(loaded)) fillings.set(id, filling);
      const late = lock === undefined
        ? undefined
        : heldBackNote(Number(lock.since), Date.now() / 1000, orphans().length);
      if (late !== undefined) note(late);
      limits = bufferLimits(machine.privileges);
      const large = loaded.find(({ entry: { opts } }) => isTooLarge(opts, limits));
      if (large !== undefined) {
        problem({
          what: `socket:[${large.entry.ino}] has larger buffers than this user may make`,
          hint: "raise net.core.wmem_max and net.core.rmem_max, or restore with CAP_NET_ADMIN",
        });
      }
      if (!limits.force && loaded.some(({ stream }) => stream !== undefined)) {
        problem({
          what: "the tree has TCP connections, which cannot be restored without CAP_NET_ADMIN",
          hint: "restore it as root, or with --tcp-close",
        });
      }
      for (const { entry, more } of loaded) {
        for (const { index, before, now } of movedMemberships(more, interfaceName)) {
          problem({
            what:
              `socket:[${entry.ino}] is in a group of multicast on the interface ${before} of ` +
              `number ${index}, which is ${now ?? "not there"} now`,
            hint:
              `have it there under its name and number: ip link add ${before} index ${index} ...`,
          });
        }
      }
      // The tree that is rehearsed has its ports and connections itself.
      if (rehearsal) return;
      const inTheWay = [
        ...takenProblems(loaded),
        ...liveProblems(loaded),
        ...listenerProblems(loaded, readRawSockets),
      ];
      for (const one of inTheWay) problem(one);
    },
    planTree(tree) {
      for (const { stream } of sockets.values()) {
        if (stream === undefined) continue;
        const { received, sent } = stream;
        if (received.byteLength + sent.byteLength > 0) received.image.serve(tree);
      }
    },
    begin(undo) {
      // Ends that are sent in the name of others are answered, and nobody is there who takes that.
      const alone = orphans();
      if (alone.length === 0) return;
      const table = tableName();
      const lock = meanwhile = new NetworkLock(table, lockMessages(table, alone, true));
      undo.defer(() => lock.open());
    },
    descriptors: [{
      kind: "internet socket",
      restores: isMine,
      plan: ({ file, program }) =>
        planSocket(program, socketOf(file), limits, fillingOf(socketOf(file))),
      connect({ file, program, fd, home, descriptors }) {
        const socket = socketOf(file);
        const { stream } = socket;
        if (stream === undefined) {
          const isMade = isTcp(socket.kind) && isConnecting(socket);
          // By then all listen that do.
          const then = isMade ? home.program("task") : program;
          if (isMade) planConnecting(then, fd, socket, limits);
          for (const one of socket.orphaned) planOrphaned(home.program("task"), one, limits);
          if (socket.ended !== undefined) planEnded(then, fd, socket, socket.ended, limits);
          return planRest(then, fd, socket, limits, fillingOf(socket));
        }
        const other = otherEnd(socket);
        for (const [number, { id }] of descriptors) {
          if (id === file.id) connections.push({ pid: home.pid, fd: number });
        }
        planStream(program, fd, socket, stream, limits, other);
        // By then the other ends are there.
        const later = home.program("task");
        planRelease(later, fd, socket, stream, limits, other);
        planRest(later, fd, socket, limits);
      },
    }],
    abandon(pidOf) {
      // They may have left repair mode, and would take leave of the other ends.
      for (const { pid, fd } of connections) {
        const here = pidOf(pid);
        if (here === undefined) continue;
        try {
          using pidfd = openPidfd(here);
          using taken = takeDescriptor(pidfd, here, fd);
          repairForGood(taken.fd);
        } catch (error) {
          // It had not come so far.
          if (!(error instanceof StasisError)) throw error;
        }
      }
    },
    finishing: () => table === undefined ? [] : openingCalls(table),
    finish() {
      meanwhile?.open();
      if (table === undefined || openLock(table)) return;
      note(
        `the table ${table} of nf_tables, which held back packets since the checkpoint, is gone (nft flush ruleset?): ` +
          "the other ends of connections may have been told meanwhile that nobody is there",
      );
    },
  };
}

/** @throws {StasisError} `bad-image` where it is none of this tool's: the machine's own are not touched */
function loadLock(images: ImageDirectory): inet_lock_entry {
  const lock = images.read(INET_LOCK, null);
  if (isTableName(lock.table)) return lock;
  const { table } = lock;
  const path = images.pathOf(INET_LOCK, null);
  throw new StasisError("bad-image", `${path} names "${table}", which no checkpoint has made`);
}
