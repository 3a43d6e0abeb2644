/**
 * The checkpoint's hooks of the plugin `inet`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { MOST_TAKEN, TakenDescriptors } from "../../core/checkpoint/taken_descriptors.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { O } from "../../core/linux/fcntl.ts";
import { AF_INET, type InetSocket, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { openThreadPidfd } from "../../core/linux/pidfd.ts";
import { readSocketProtocol } from "../../core/linux/procfs/mod.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDump,
  FileImage,
} from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { INET_EXTRA } from "../../images/kinds/inet.ts";
import { describeExtra, describeSocket, needsExtra } from "./image.ts";
import { interfaceName } from "./interfaces.ts";
import { readGroups } from "./memberships.ts";
import { makeSocket } from "./options.ts";
import { isInetName, SOCK } from "./protocol.ts";
import { namespaceCookie, readState, type SocketState } from "./state.ts";
import { connectionKey, type Finding, socketProblem, type Surroundings } from "./survey.ts";

/** The sockets of the tree at one look. */
interface Look {
  readonly surroundings: Surroundings;
  /** What is read of each when the tree stands still, by inode. */
  readonly states: ReadonlyMap<number, SocketState>;
  /** Those whose problem has been told: one that many tasks have is told once. */
  readonly told: Set<number>;
}

const NOTHING: Look = {
  surroundings: { sockets: new Map(), inside: new Set(), holders: () => [] },
  states: new Map(),
  told: new Set(),
};

/** The hooks of one checkpoint. */
export function checkpointInet(session: CheckpointSession): CheckpointHooks {
  const { writer, options } = session;
  const outside = outsideHolders(writer);
  /** The name of each socket's protocol, by the text of the descriptor's link. */
  const protocols = new Map<string, string>();
  let seen = NOTHING;

  const protocolOf = ({ link, liveTid, fd }: Descriptor): string => {
    let protocol = protocols.get(link.text);
    if (protocol === undefined) {
      protocol = readSocketProtocol(liveTid, fd);
      if (protocol === undefined) return "";
      protocols.set(link.text, protocol);
    }
    return protocol;
  };
  const claims = (descriptor: Descriptor): boolean =>
    descriptor.link.kind === "socket" && isInetName(protocolOf(descriptor)) &&
    !isNamedExternal(options, descriptor);

  return {
    survey({ tasks, frozen }) {
      seen = NOTHING;
      const descriptors = new Map<number, Descriptor>();
      for (const task of tasks) {
        for (const descriptor of task.descriptors) {
          if (claims(descriptor)) descriptors.set(inodeOf(descriptor), descriptor);
        }
      }
      if (descriptors.size === 0) return;
      outside.look(tasks);
      const sockets = listSockets(descriptors, protocolOf);
      const inside = new Set(
        [...descriptors.keys()].flatMap((ino) => {
          const socket = sockets.get(ino);
          return socket === undefined ? [] : [connectionKey(socket)];
        }),
      );
      seen = {
        surroundings: { sockets, inside, holders: (ino) => outside.behind(`socket:[${ino}]`) },
        states: frozen ? readStates(descriptors, sockets) : new Map(),
        told: new Set(),
      };
    },
    descriptors: [{
      kind: "internet socket",
      claims,
      survey(descriptor) {
        const ino = inodeOf(descriptor);
        if (seen.told.has(ino)) return undefined;
        const { fd } = descriptor;
        const kind = `${protocolOf(descriptor)} socket`;
        const found = socketProblem({ fd, ino, kind }, seen.surroundings) ??
          stateProblem(fd, ino, kind, seen.states.get(ino));
        if (found !== undefined) seen.told.add(ino);
        return found;
      },
      dump: (context) => dumpSocket(session, context, seen),
    }],
  };
}

/** What sock_diag(7) says of the sockets of the tree. */
function listSockets(
  descriptors: ReadonlyMap<number, Descriptor>,
  protocolOf: (descriptor: Descriptor) => string,
): Map<number, InetSocket> {
  const sockets = new Map<number, InetSocket>();
  const names = new Set([...descriptors.values()].map(protocolOf));
  for (
    const [prefix, protocol] of [
      ["TCP", IPPROTO.TCP],
      ["UDPv6", IPPROTO.UDP],
      ["UDP", IPPROTO.UDP],
      ["UDP-Lite", IPPROTO.UDPLITE],
      ["UDPLITEv6", IPPROTO.UDPLITE],
    ] as const
  ) {
    const isAsked = names.has(prefix) || prefix === "TCP" && names.has("TCPv6");
    if (!isAsked) continue;
    for (const [ino, one] of readInetSockets(protocol).byInode) {
      if (descriptors.has(ino)) sockets.set(ino, one);
    }
  }
  return sockets;
}

function readStates(
  descriptors: ReadonlyMap<number, Descriptor>,
  sockets: ReadonlyMap<number, InetSocket>,
): Map<number, SocketState> {
  const states = new Map<number, SocketState>();
  const groups = readGroups();
  using own = makeSocket({ family: AF_INET, type: SOCK.DGRAM, protocol: IPPROTO.UDP });
  const cookie = namespaceCookie(own.fd);
  eachTaken(descriptors.values(), (descriptor, fd) => {
    const ino = inodeOf(descriptor);
    states.set(ino, readState(fd, { listed: sockets.get(ino), groups, cookie }));
  });
  return states;
}

/** Calls a function with a duplicate of each descriptor. */
export function eachTaken(
  descriptors: Iterable<Descriptor>,
  take: (descriptor: Descriptor, fd: number) => void,
): void {
  for (const [pid, own] of Map.groupBy(descriptors, ({ pid }) => pid)) {
    using pidfd = openThreadPidfd(own[0]?.liveTid ?? pid, pid);
    for (let from = 0; from < own.length; from += MOST_TAKEN) {
      const part = own.slice(from, from + MOST_TAKEN);
      using taken = new TakenDescriptors(pidfd, pid, part);
      for (const [index, descriptor] of part.entries()) take(descriptor, taken.fd(index));
    }
  }
}

/** What only a look at the socket itself tells. */
function stateProblem(
  fd: number,
  ino: number,
  kind: string,
  state: SocketState | undefined,
): Finding | undefined {
  if (state?.problem === undefined) return undefined;
  const what = `its descriptor ${fd} (socket:[${ino}]) is a ${kind} that ${state.problem}`;
  return { what, hint: state.hint };
}

function dumpSocket(
  { writer, requirePlugin }: CheckpointSession,
  { descriptor, id, fown }: DescriptorDump,
  { states }: Look,
): FileImage {
  const ino = inodeOf(descriptor);
  const state = states.get(ino);
  if (state === undefined) {
    throw new StasisError("internal", `socket:[${ino}] was not looked at`);
  }
  const extra = describeExtra(id, state);
  if (extra !== undefined) writer.append(INET_EXTRA, null, extra);
  if (needsExtra(state)) requirePlugin();
  const flags = descriptor.info.flags & ~O.CLOEXEC;
  return {
    type: fd_types.INETSK,
    isk: describeSocket({ id, ino, flags, fown }, state, interfaceName),
  };
}

/** The inode of a descriptor's socket. */
export function inodeOf({ link }: Descriptor): number {
  return Number(link.inode ?? 0n);
}
