/**
 * The checkpoint's hooks of the plugin `netlink`.
 *
 * @module
 */
import { eachTaken, inodeOf } from "../../core/checkpoint/each_taken.ts";
import { namespaceCookie } from "../../core/checkpoint/socket_belonging.ts";
import { saveFamily } from "../../core/checkpoint/socket_family.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { O } from "../../core/linux/fcntl.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { AF_NETLINK } from "../../core/linux/net/netlink.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDump,
  FileImage,
} from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NETLINK_EXTRA } from "../../images/kinds/netlink.ts";
import { trimGroups } from "./address.ts";
import { readNetNetlink } from "./net_netlink.ts";
import { auditDaemon } from "./audit.ts";
import { keepingName, NETLINK_AUDIT, TYPES } from "./protocol.ts";
import { type NetlinkState, readNetlink } from "./state.ts";

/** The hooks of one checkpoint. */
export function checkpointNetlink(session: CheckpointSession): CheckpointHooks {
  return saveFamily(session, {
    kind: "netlink socket",
    protocol: "NETLINK",
    read: readStates,
    dump: (context, state, ino) => dumpNetlink(session, context, state, ino),
  });
}

function readStates(descriptors: ReadonlyMap<number, Descriptor>): Map<number, NetlinkState> {
  const states = new Map<number, NetlinkState>();
  const listing = new Set(
    readNetNetlink().filter(({ isListing }) => isListing).map(({ ino }) => ino),
  );
  using own = makeSocket({ family: AF_NETLINK, type: TYPES[0] as number, protocol: 0 });
  const cookie = namespaceCookie(own.fd);
  /** Asked for where it matters. */
  let daemon: { readonly pid: number | undefined } | undefined;
  eachTaken(descriptors.values(), (descriptor, fd) => {
    const ino = inodeOf(descriptor);
    const keeping = (protocol: number, portid: number): string | undefined => {
      if (protocol === NETLINK_AUDIT) daemon ??= { pid: auditDaemon() };
      return keepingName(protocol, daemon?.pid, [descriptor.pid, portid]);
    };
    states.set(ino, readNetlink(fd, listing.has(ino), cookie, keeping));
  });
  return states;
}

function dumpNetlink(
  { writer, requirePlugin }: CheckpointSession,
  { descriptor, id, fown }: DescriptorDump,
  state: NetlinkState,
  ino: number,
): FileImage {
  const { type, owner: { uid, gid }, options: { opts, more }, filter } = state;
  const isUsual = type === TYPES[0] && more.length + state.more.length === 0;
  if (!isUsual) requirePlugin();
  if (!isUsual || uid !== 0 || gid !== 0) {
    const options = [...more];
    writer.append(NETLINK_EXTRA, null, { id, options, more: [...state.more], type, uid, gid });
  }
  const { protocol, portid, groups, peer } = state;
  return {
    type: fd_types.NETLINKSK,
    nlsk: {
      id,
      ino,
      protocol,
      state: Number(peer.portid !== 0 || peer.group !== 0),
      flags: descriptor.info.flags & ~O.CLOEXEC,
      portid,
      groups: trimGroups(groups),
      dstPortid: peer.portid,
      dstGroup: peer.group,
      fown,
      opts: { ...opts, soFilter: [...filter] },
    },
  };
}
