/**
 * The checkpoint's hooks of the plugin `packet`.
 *
 * @module
 */
import { eachTaken, inodeOf } from "../../core/checkpoint/each_taken.ts";
import { type Owner, readOwner } from "../../core/checkpoint/socket_belonging.ts";
import { saveFamily, type SocketReading } from "../../core/checkpoint/socket_family.ts";
import { filterProblem, readFilter } from "../../core/checkpoint/socket_filter.ts";
import {
  decodeOptions,
  type MoreOption,
  OPTION_SIZES,
  type SocketOptions,
} from "../../core/checkpoint/socket_options.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { O } from "../../core/linux/fcntl.ts";
import { interfaceName } from "../../core/linux/net/interfaces.ts";
import type { PacketSocket } from "../../core/linux/net/packet_diag.ts";
import { readPacketSockets } from "../../core/linux/net/sock_diag.ts";
import { OptionReader, POLL, pollNow } from "../../core/linux/net/socket_options.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDump,
  FileImage,
} from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { PACKET_EXTRA } from "../../images/kinds/packet.ts";
import { groupId, hasProgram, MORE, PACKET, SOL_PACKET, swapped, USUAL_HEADER } from "./options.ts";

/** What is read of a socket. */
interface PacketState extends SocketReading {
  /** Absent where there is a problem. */
  readonly listed?: PacketSocket;
  readonly options: SocketOptions;
  /** Options of SOL_PACKET that CRIU's image does not have. */
  readonly more: readonly MoreOption[];
  readonly filter: readonly bigint[];
  readonly owner: Owner;
  /** The names of the interfaces that it is bound to or has asked for something, by their numbers. */
  readonly interfaces: ReadonlyMap<number, string>;
  /** Whether packets wait. */
  readonly waits: boolean;
}

/** The hooks of one checkpoint. */
export function checkpointPacket(session: CheckpointSession): CheckpointHooks {
  return saveFamily(session, {
    kind: "packet socket",
    protocol: "PACKET",
    read: readStates,
    dump: (context, state, ino) => dumpPacket(session, context, state, ino),
  });
}

function readStates(descriptors: ReadonlyMap<number, Descriptor>): Map<number, PacketState> {
  const states = new Map<number, PacketState>();
  const listed = readPacketSockets(descriptors.keys());
  const names = new Map<number, string>();
  /** Groups that sockets outside of the tree are in. */
  const strange = new Set(
    listed.values().filter(({ ino }) => !descriptors.has(ino)).flatMap(({ fanout }) =>
      fanout === undefined ? [] : [groupId(fanout)]
    ),
  );
  const socket = new OptionReader(OPTION_SIZES);
  const packet = new OptionReader(new Map(MORE.map((name) => [name, 4])), SOL_PACKET);
  eachTaken(descriptors.values(), (descriptor, fd) => {
    const ino = inodeOf(descriptor);
    socket.read(fd);
    packet.read(fd);
    const ready = pollNow(fd);
    const one = listed.get(ino);
    states.set(ino, {
      ...problemOf(one, ready, socket, strange),
      listed: one,
      options: decodeOptions(socket),
      more: MORE.map((name) => ({ name, value: packet.number(name) ?? 0 })).filter(isMore),
      filter: readFilter(fd, socket),
      owner: readOwner(fd),
      interfaces: interfacesOf(one, names),
      waits: (ready & POLL.IN) !== 0,
    });
  });
  return states;
}

/** Whether an option is not at its default, nor what another one says already: the usual header (PACKET_VNET_HDR). */
function isMore({ name, value }: MoreOption): boolean {
  return value !== 0 && !(name === PACKET.VNET_HDR_SZ && value === USUAL_HEADER);
}

/** The interfaces of a socket. @param names those that are known */
function interfacesOf(
  listed: PacketSocket | undefined,
  names: Map<number, string>,
): Map<number, string> {
  const own = new Map<number, string>();
  if (listed === undefined) return own;
  for (const index of [listed.index, ...listed.memberships.map(({ index }) => index)]) {
    if (index === 0) continue;
    const name = names.get(index) ?? interfaceName(index);
    // It may be gone.
    if (name === undefined) continue;
    names.set(index, name);
    own.set(index, name);
  }
  return own;
}

function problemOf(
  listed: PacketSocket | undefined,
  ready: number,
  options: OptionReader,
  strange: ReadonlySet<number>,
): SocketReading {
  if (listed === undefined) {
    return { problem: "is of another network namespace", hint: "close it before the checkpoint" };
  }
  const { fanout } = listed;
  if (fanout !== undefined && hasProgram(fanout)) {
    return {
      problem: "is in a group whose members a program chooses (PACKET_FANOUT_CBPF)",
      hint: "close it before the checkpoint",
    };
  }
  if (fanout !== undefined && strange.has(groupId(fanout))) {
    return {
      problem: `is in a group (PACKET_FANOUT ${
        groupId(fanout)
      }) that sockets outside of the tree are in, too`,
      hint: "checkpoint all of its members together, or end the others (ss -0p tells them)",
    };
  }
  const filter = filterProblem(options);
  if (filter !== undefined) {
    return { problem: filter, hint: "take it away before the checkpoint" };
  }
  if ((ready & POLL.ERR) === 0) return {};
  return {
    problem: "has an error waiting that the program has not seen yet",
    hint: "try again when the program has received it",
    passing: true,
  };
}

function dumpPacket(
  { writer, requirePlugin, note }: CheckpointSession,
  { descriptor, id, fown }: DescriptorDump,
  { listed, options: { opts, more }, more: own, filter, owner, waits, interfaces }: PacketState,
  ino: number,
): FileImage {
  const { uid, gid } = owner;
  if (waits) {
    note(`packets that wait in the packet socket socket:[${ino}] are left out, as if dropped`);
  }
  if (more.length + own.length > 0) requirePlugin();
  if (more.length + own.length + interfaces.size > 0 || uid !== 0 || gid !== 0) {
    writer.append(PACKET_EXTRA, null, {
      id,
      options: [...more],
      more: [...own],
      uid,
      gid,
      interfaces: [...interfaces].map(([index, name]) => ({ index, name })),
    });
  }
  const socket = listed as PacketSocket;
  return {
    type: fd_types.PACKETSK,
    psk: {
      id,
      type: socket.type,
      protocol: swapped(socket.protocol),
      flags: descriptor.info.flags & ~O.CLOEXEC,
      ifindex: socket.index,
      fown,
      opts: { ...opts, soFilter: [...filter] },
      version: socket.version,
      reserve: socket.reserve,
      auxData: socket.auxData,
      origDev: socket.originalDevice,
      vnetHdr: socket.vnetHeader,
      loss: socket.loss,
      timestamp: socket.timestamp,
      copyThresh: socket.copyThreshold,
      mclist: socket.memberships.flatMap(({ index, type, address, count }) =>
        Array.from({ length: count }, () => ({ index, type, addr: address }))
      ),
      fanout: socket.fanout,
      rxRing: socket.receiveRing,
      txRing: socket.sendRing,
    },
  };
}
