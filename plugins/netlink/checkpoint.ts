/**
 * The checkpoint's hooks of the plugin `netlink`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { eachTaken, inodeOf } from "../../core/checkpoint/each_taken.ts";
import {
  externalHint,
  isNamedExternal,
  outsideHolders,
} from "../../core/checkpoint/outside_holders.ts";
import { namespaceCookie } from "../../core/checkpoint/socket_belonging.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { O } from "../../core/linux/fcntl.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { nameOf, readSocketProtocol } from "../../core/linux/procfs/mod.ts";
import type { CheckpointHooks, CheckpointSession, FileImage } from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NETLINK_EXTRA } from "../../images/kinds/netlink.ts";
import { trimGroups } from "./address.ts";
import { readNetNetlink } from "./net_netlink.ts";
import { AF_NETLINK } from "../../core/linux/net/netlink.ts";
import { TYPES } from "./protocol.ts";
import { type NetlinkState, readNetlink } from "./state.ts";

/** The hooks of one checkpoint. */
export function checkpointNetlink(session: CheckpointSession): CheckpointHooks {
  const { writer, options, requirePlugin } = session;
  const outside = outsideHolders(writer);
  /** Whether a socket is of netlink, by the text of the descriptor's link. */
  const known = new Map<string, boolean>();
  let states = new Map<number, NetlinkState>();
  /** Those whose problem has been told: one that many tasks have is told once. */
  let told = new Set<number>();

  const isNetlink = ({ link, liveTid, fd }: Descriptor): boolean => {
    let is = known.get(link.text);
    if (is === undefined) {
      is = readSocketProtocol(liveTid, fd) === "NETLINK";
      known.set(link.text, is);
    }
    return is;
  };
  const claims = (descriptor: Descriptor): boolean =>
    descriptor.link.kind === "socket" && isNetlink(descriptor) &&
    !isNamedExternal(options, descriptor);

  return {
    survey({ tasks, frozen }) {
      told = new Set();
      const descriptors = new Map<number, Descriptor>();
      for (const task of tasks) {
        for (const descriptor of task.descriptors) {
          if (claims(descriptor)) descriptors.set(inodeOf(descriptor), descriptor);
        }
      }
      if (descriptors.size === 0) return;
      outside.look(tasks);
      if (frozen) states = readStates(descriptors);
    },
    descriptors: [{
      kind: "netlink socket",
      claims,
      survey(descriptor) {
        const ino = inodeOf(descriptor);
        if (told.has(ino)) return undefined;
        const found = problemOf(descriptor, outside.behind(descriptor.link.text), states.get(ino));
        if (found !== undefined) told.add(ino);
        return found;
      },
      dump({ descriptor, id, fown }): FileImage {
        const ino = inodeOf(descriptor);
        const state = states.get(ino);
        if (state === undefined) {
          throw new StasisError("internal", `socket:[${ino}] was not looked at`);
        }
        const { type, owner: { uid, gid }, options: { opts, more }, filter } = state;
        const isUsual = type === TYPES[0] && more.length + state.more.length === 0;
        if (!isUsual) requirePlugin();
        if (!isUsual || uid !== 0 || gid !== 0) {
          writer.append(NETLINK_EXTRA, null, {
            id,
            options: [...more],
            more: [...state.more],
            type,
            uid,
            gid,
          });
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
      },
    }],
  };
}

function readStates(descriptors: ReadonlyMap<number, Descriptor>): Map<number, NetlinkState> {
  const states = new Map<number, NetlinkState>();
  const listing = new Set(
    readNetNetlink().filter(({ isListing }) => isListing).map(({ ino }) => ino),
  );
  using own = makeSocket({ family: AF_NETLINK, type: TYPES[0] as number, protocol: 0 });
  const cookie = namespaceCookie(own.fd);
  eachTaken(descriptors.values(), (descriptor, fd) => {
    const ino = inodeOf(descriptor);
    states.set(ino, readNetlink(fd, listing.has(ino), cookie));
  });
  return states;
}

/** Why a socket cannot be saved; undefined if it can. @param holders who has it outside of the tree */
function problemOf(
  { fd, link }: Descriptor,
  holders: readonly number[],
  state: NetlinkState | undefined,
): { readonly what: string; readonly hint?: string } | undefined {
  const what = `its descriptor ${fd} (${link.text}) is a netlink socket that`;
  const [holder] = holders;
  if (holder !== undefined) {
    return {
      what: `${what} ${nameOf(holder)} outside of the tree has open too`,
      hint: `checkpoint both together, or ${externalHint(link.text)}`,
    };
  }
  if (state?.problem === undefined) return undefined;
  return { what: `${what} ${state.problem}`, hint: state.hint };
}
