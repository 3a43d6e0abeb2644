/**
 * The checkpoint's hooks of the plugin `inet`.
 *
 * @module
 */
import { mayHaveInFlight } from "../../core/checkpoint/in_flight.ts";
import { StasisError } from "../../base/errors.ts";
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { noteWith } from "../../core/checkpoint/noted_socket.ts";
import { namespaceCookie } from "../../core/checkpoint/socket_belonging.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { CAP } from "../../core/linux/capability.ts";
import { O } from "../../core/linux/fcntl.ts";
import {
  AF_INET,
  type AskedSockets,
  type InetSocket,
  IPPROTO,
  MOST_PORTS,
  TCP,
} from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { nameOf, readStatus } from "../../core/linux/procfs/mod.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDump,
  FileImage,
  OperationOptions,
} from "../../core/plugin.ts";
import type { Rescuer } from "../../core/remote/undo.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { INET_EXTRA, INET_LOCK, TCP_STREAM } from "../../images/kinds/inet.ts";
import { type HeldConnection, HeldConnections } from "./connections.ts";
import { connectionKey } from "./connection_key.ts";
import { eachTaken, inodeOf } from "../../core/checkpoint/each_taken.ts";
import {
  closed,
  connecting,
  describeExtra,
  describeSocket,
  describeStream,
  needsExtra,
} from "./image.ts";
import { interfaceName } from "../../core/linux/net/interfaces.ts";
import { readGroups } from "./memberships.ts";
import { AcceptQueues } from "./accept_queues.ts";
import { SharedKernel } from "./kernel_sockets.ts";
import { lookAgain } from "./look_again.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { readRawSockets } from "./listed_raw.ts";
import { isInetName, isRawName, SOCK } from "./protocol.ts";
import { readState, type SocketState } from "./state.ts";
import {
  type Finding,
  isInside,
  isOver,
  socketProblem,
  type Surroundings,
  unlisted,
} from "./survey.ts";
import { hasStream, isConnection } from "./tcp_info.ts";
import { quiesce } from "./quiesce.ts";
import { findWaiting, fromOutside, NONE_WAITS, readableIf } from "./waiting_connections.ts";

/** The sockets of the tree at one look. */
interface Look {
  /** One descriptor of each, by inode. */
  readonly descriptors: ReadonlyMap<number, Descriptor>;
  readonly surroundings: Surroundings;
  /** What is read of each when the tree stands still, by inode. */
  readonly states: ReadonlyMap<number, SocketState>;
  /** Those of which the kernel tells nothing, though it should. */
  readonly unlisted: ReadonlySet<number>;
  /** Those whose problem has been told: one that many tasks have is told once. */
  readonly told: Set<number>;
}

const NOTHING: Look = {
  descriptors: new Map(),
  surroundings: {
    sockets: new Map(),
    inside: new Set(),
    hidden: false,
    waiting: NONE_WAITS,
    mayRepair: false,
    runs: false,
    accepts: false,
    holders: () => [],
    nameOf,
  },
  states: new Map(),
  unlisted: new Set(),
  told: new Set(),
};

/** The hooks of one checkpoint. */
export function checkpointInet(session: CheckpointSession): CheckpointHooks {
  const { writer, options } = session;
  const outside = outsideHolders(writer);
  /** The name of each socket's protocol, by the text of the descriptor's link. */
  const protocols = new Map<string, string>();
  let seen = NOTHING;
  let held: HeldConnections | undefined;
  /** Whether the program has accepted what waited, just before it was stopped. */
  let accepts = false;

  const protocolOf = (descriptor: Descriptor): string => {
    const { text } = descriptor.link;
    let protocol = protocols.get(text);
    if (protocol === undefined) {
      protocol = descriptor.socketProtocol;
      if (protocol === undefined) return "";
      protocols.set(text, protocol);
    }
    return protocol;
  };
  const claims = (descriptor: Descriptor): boolean =>
    descriptor.link.kind === "socket" && isInetName(protocolOf(descriptor)) &&
    !isNamedExternal(options, descriptor);

  return {
    survey({ tasks, rescuer }) {
      // While the tree stands still those of others are left alone: it is known by now which ports are its own.
      const ports = portsOf(seen.surroundings.sockets);
      seen = NOTHING;
      const descriptors = new Map<number, Descriptor>();
      for (const task of tasks) {
        for (const descriptor of task.descriptors) {
          if (claims(descriptor)) descriptors.set(inodeOf(descriptor), descriptor);
        }
      }
      if (descriptors.size === 0) return;
      outside.look(tasks);
      // They are saved when the tree stands still.
      const keys = rescuer !== undefined;
      let { sockets, nobodys, others } = listSockets(descriptors, protocolOf, [], { ports, keys });
      const read = () =>
        rescuer === undefined ? new Map<number, SocketState>() : readStates(
          descriptors,
          sockets,
          rescuer,
          [...descriptors.values()].some((one) => isRawName(protocolOf(one))),
        );
      let states = read();
      const missing = unlisted(states, sockets);
      if (missing.length > 0) {
        ({ sockets, nobodys, others } = listSockets(descriptors, protocolOf, missing, { keys }));
        states = read();
      }
      using kernel = new SharedKernel();
      // Of what is on its way the kernel's memory tells which is urgent. Its types take a while to be read, which they are
      // once: not while the tree stands still.
      const isOnItsWay = sockets.values().some(({ state, sendQueue }) =>
        hasStream(state) && sendQueue > 0
      );
      if (rescuer === undefined && isOnItsWay) kernel.open();
      const sight = rescuer === undefined
        ? { ...readableIf(() => kernel.open() !== undefined), others }
        : new AcceptQueues(descriptors, kernel, others, (ino) => defersAccept(states.get(ino)));
      const connections = [...sockets.values()].filter(({ state }) => isConnection(state));
      const inside = new Set([...connections, ...nobodys.filter(isOver)].map(connectionKey));
      seen = {
        descriptors,
        surroundings: {
          sockets,
          inside,
          hidden: rescuer === undefined && mayHaveInFlight(tasks),
          waiting: findWaiting(sockets, nobodys, sight),
          mayRepair: (readStatus(Deno.pid).caps.effective & CAP.NET_ADMIN) !== 0n,
          runs: rescuer === undefined,
          accepts,
          holders: (ino) => outside.behind(`socket:[${ino}]`),
          nameOf,
        },
        states,
        unlisted: new Set(unlisted(states, sockets)),
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
        const found = socketProblem({ fd, ino, kind }, seen.surroundings, options) ??
          stateProblem(fd, ino, kind, seen.states.get(ino), !seen.unlisted.has(ino), options);
        if (found !== undefined) seen.told.add(ino);
        return found;
      },
      dump: (context) => dumpSocket(session, context, seen, held),
    }],
    async quiesce(context) {
      if (options.skipInFlight === true) return;
      const { sockets, mayRepair: mayHold } = seen.surroundings;
      const isToEnd = options.leaveRunning !== true;
      using kernel = new SharedKernel();
      const mayRead = () => kernel.open() !== undefined;
      accepts = await quiesce(sockets, { isToEnd, mayHold, mayRead }, context);
    },
    hold(context) {
      const toEnd = options.leaveRunning !== true;
      held = new HeldConnections(connectionsOf(seen, options), toEnd, context);
      lookAgain(seen, held.streams, options);
      const { sockets, waiting } = seen.surroundings;
      const left = [...sockets.values()].filter(({ state }) => state === TCP.LISTEN)
        .reduce((sum, one) => sum + fromOutside(one, waiting), 0);
      if (left > 0 && !toEnd) {
        session.note(
          `connections from outside that wait to be accepted (${left}) are left out: who is at their other ends is ` +
            "served by the program that runs on, and by none that is restored",
        );
      }
      if (held.table === undefined) return;
      writer.write(INET_LOCK, null, {
        table: held.table,
        since: BigInt(Math.floor(Date.now() / 1000)),
      });
      // Whoever restores without it does not let the packets pass again.
      session.requirePlugin();
      session.note(
        `packets of connections to outside of the tree are held back until it is restored, by the table ` +
          `${held.table} of nf_tables; without a restore: nft delete table inet ${held.table}`,
      );
    },
    end: () => held?.end(),
  };
}

/** The connections that are saved as they are. */
function connectionsOf(
  { descriptors, surroundings, states }: Look,
  { tcpClose }: OperationOptions,
): HeldConnection[] {
  if (tcpClose === true) return [];
  return [...descriptors].flatMap(([ino, descriptor]) => {
    if (surroundings.waiting.clients.has(ino)) return [];
    const state = states.get(ino);
    const socket = surroundings.sockets.get(ino);
    if (state?.info === undefined || socket === undefined) return [];
    if (!hasStream(state.info.state)) return [];
    const { source, target } = socket;
    return [{
      descriptor,
      own: { bytes: source.address, port: source.port },
      peer: { bytes: target.address, port: target.port },
      reuse: state.options.opts.reuseaddr === true,
      hasUrgent: state.hasUrgent === true,
      isOutside: !isInside(socket, surroundings),
    }];
  });
}

/** The ports of some sockets; undefined where there are none, or too many to ask for. */
function portsOf(sockets: ReadonlyMap<number, InetSocket>): readonly number[] | undefined {
  const ports = new Set([...sockets.values()].map(({ source }) => source.port));
  return ports.size === 0 || ports.size > MOST_PORTS ? undefined : [...ports];
}

/** What sock_diag(7) lists. */
interface ListedSockets {
  /** The sockets of the tree, by inode. */
  readonly sockets: Map<number, InetSocket>;
  /** Those of TCP that nobody has a descriptor of, and those of others. */
  readonly nobodys: readonly InetSocket[];
  readonly others: readonly InetSocket[];
}

/**
 * What sock_diag(7) says of the sockets of the tree.
 *
 * @param wanted inodes that should be among them
 * @param asked the ports that they have, as far as is known (all are asked for where it is not), and whether their keys
 */
function listSockets(
  descriptors: ReadonlyMap<number, Descriptor>,
  protocolOf: (descriptor: Descriptor) => string,
  wanted: readonly number[],
  asked: AskedSockets,
): ListedSockets {
  const sockets = new Map<number, InetSocket>();
  let nobodys: readonly InetSocket[] = [], others: readonly InetSocket[] = [];
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
    const found = readInetSockets(protocol, wanted, asked);
    for (const [ino, one] of found.byInode) if (descriptors.has(ino)) sockets.set(ino, one);
    if (protocol !== IPPROTO.TCP) continue;
    nobodys = found.nobodys;
    others = [...found.byInode.values()].filter(({ ino }) => !descriptors.has(ino));
  }
  return { sockets, nobodys, others };
}

function readStates(
  descriptors: ReadonlyMap<number, Descriptor>,
  sockets: ReadonlyMap<number, InetSocket>,
  rescuer: Pick<Rescuer, "noteOutside">,
  areRaw: boolean,
): Map<number, SocketState> {
  const states = new Map<number, SocketState>();
  const groups = readGroups();
  using own = makeSocket({ family: AF_INET, type: SOCK.DGRAM, protocol: IPPROTO.UDP });
  const cookie = namespaceCookie(own.fd);
  using shared = new SharedKernel();
  const kernel = () => shared.open();
  const raws = new Map(areRaw ? readRawSockets().map((one) => [one.ino, one]) : []);
  eachTaken(descriptors.values(), (descriptor, fd) => {
    const ino = inodeOf(descriptor);
    const note = noteWith(rescuer, descriptor);
    const raw = raws.get(ino);
    states.set(ino, readState(fd, { listed: sockets.get(ino), raw, groups, cookie, note, kernel }));
  });
  return states;
}

/** Whether connections are half made until something comes by them. */
function defersAccept(state: SocketState | undefined): boolean {
  return state?.more.some(({ level, name }) =>
    level === SOL.TCP && name === TCP_OPTION.DEFER_ACCEPT
  ) === true;
}

/** What only a look at the socket itself tells. */
function stateProblem(
  fd: number,
  ino: number,
  kind: string,
  state: SocketState | undefined,
  isListed: boolean,
  { tcpClose }: OperationOptions,
): Finding | undefined {
  const what = `its descriptor ${fd} (socket:[${ino}]) is a ${kind} that`;
  if (state?.problem !== undefined && !(tcpClose === true && state.endsWithClose === true)) {
    const { problem, hint, passing } = state;
    return { what: `${what} ${problem}`, hint, passing };
  }
  if (isListed) return undefined;
  // Whether it is connected to outside nobody knows.
  const text = `${what} the kernel leaves out when it lists sockets`;
  return { what: text, hint: "try again", passing: true };
}

function dumpSocket(
  { writer, requirePlugin, options, note }: CheckpointSession,
  { descriptor, id, fown }: DescriptorDump,
  { states, surroundings: { waiting } }: Look,
  held: HeldConnections | undefined,
): FileImage {
  const ino = inodeOf(descriptor);
  const state = states.get(ino);
  if (state === undefined) {
    throw new StasisError("internal", `socket:[${ino}] was not looked at`);
  }
  if (state.losesError === true) {
    note(`the error that waits in socket:[${ino}] is left out, as if it had not come`);
  }
  if (state.endsWithClose === true) {
    note(`socket:[${ino}] ${state.problem}: that is left out, as it is restored closed`);
  }
  const sent = options.tcpClose === true ? undefined : waiting.clients.get(ino);
  const orphaned = options.tcpClose === true ? [] : waiting.orphaned.get(ino) ?? [];
  const isWaiting = sent !== undefined;
  const stream = held?.streams.get(ino);
  const mark = stream?.received.mark, urgentAt = stream?.sent.urgentAt;
  const hasUrgent = mark !== undefined || urgentAt !== undefined;
  const extra = describeExtra(id, state, { sent, orphaned, mark, urgentAt });
  if (extra !== undefined) writer.append(INET_EXTRA, null, extra);
  if (needsExtra(state) || isWaiting || orphaned.length > 0 || hasUrgent) {
    requirePlugin();
  }
  if (stream !== undefined) {
    const { entry, bytes } = describeStream(stream);
    writer.write(TCP_STREAM, ino, entry, bytes);
  }
  const isClosed = options.tcpClose === true && state.info !== undefined &&
    isConnection(state.info.state);
  const flags = descriptor.info.flags & ~O.CLOEXEC;
  return {
    type: fd_types.INETSK,
    isk: describeSocket(
      { id, ino, flags, fown },
      isClosed
        ? closed(state)
        : isWaiting
        ? connecting(state)
        : stream === undefined
        ? state
        : { ...state, info: stream.sent.info },
      interfaceName,
    ),
  };
}
