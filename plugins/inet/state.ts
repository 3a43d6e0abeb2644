/**
 * What a socket has, read through a duplicate of its descriptor while its tasks stand still.
 *
 * @module
 */

import { StasisError } from "../../base/errors.ts";
import { type NoteCall, PeekOffset } from "../../core/checkpoint/noted_socket.ts";
import {
  decodeOptions,
  OPTION_SIZES,
  type SocketOptions,
} from "../../core/checkpoint/socket_options.ts";
import { filterProblem, readFilter } from "../../core/checkpoint/socket_filter.ts";
import { cookieOf, type Owner, readOwner } from "../../core/checkpoint/socket_belonging.ts";
import { Errno, isErrno } from "../../core/linux/errno.ts";
import { bytesWaiting } from "../../core/linux/fcntl.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { type InetSocket, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { peekMessage } from "../../core/linux/net/socket_ffi.ts";
import { OptionReader, POLL, pollNow, SO } from "../../core/linux/net/socket_options.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { decodeBytes } from "../../base/byte_text.ts";
import { type Address, decodeAddress, encodeAddress, isAny } from "./address.ts";
import { READABLE, readCorked } from "./corked.ts";
import { type EndedConnection, readEnded } from "./ended.ts";
import type { CorkedMessage, KernelSockets } from "./kernel_sockets.ts";
import { canChoosePort } from "./free_port.ts";
import { peekDatagrams, type QueuedDatagram } from "./datagram_queue.ts";
import type { RawSocket } from "./listed_raw.ts";
import { readBehindError, readRawQueue } from "./raw_queue.ts";
import { md5Options } from "./md5_keys.ts";
import { type Group, readMemberships } from "./memberships.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { type Option, readOptions } from "./options.ts";
import { isTcp, SOCK, type SocketKind } from "./protocol.ts";
import { hasStream, isConnection, readTcpInfo, type TcpInfo } from "./tcp_info.ts";
import { bytesBeyondMark, markProblem } from "./urgent_mark.ts";

/** What is read of a socket. */
export interface SocketState {
  readonly kind: SocketKind;
  /** Why it cannot be saved: "has a message waiting that ...". */
  readonly problem?: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Whether the program is about to see to it itself, as a rule. */
  readonly passing?: boolean;
  /** Whether what stands against it is left out where connections are restored closed (`--tcp-close`). */
  readonly endsWithClose?: boolean;
  /** Whether an error waits in it that is left out: whoever looks at one takes it away (sock_error()). */
  readonly losesError?: boolean;
  readonly own: Address | undefined;
  readonly peer: Address | undefined;
  readonly info: TcpInfo | undefined;
  readonly options: SocketOptions;
  /** Those of other levels, and memberships. */
  readonly more: readonly Option[];
  /** SO_BINDTODEVICE; empty: none. */
  readonly device: string;
  readonly filter: readonly bigint[];
  /** Whether it is bound to an address that this machine does not have. */
  readonly isForeign: boolean;
  /** Which directions are shut down: 1 receiving, 2 sending. */
  readonly shutdown: number;
  /** Whom it belongs to, as fstat(2) and rules of the network (`ip rule uidrange`) see it. */
  readonly owner: Owner;
  /** What waits to be received; not of TCP. */
  readonly queue: readonly QueuedDatagram[];
  /** What is left of a connection that was reset or given up. */
  readonly ended?: EndedConnection;
  /** A message that was begun and not sent; not of TCP. */
  readonly corked?: CorkedMessage;
  /** Whether there is a mark of urgent data in what a connection has received, by `urgent_mark.ts`. */
  readonly hasMark?: boolean;
  /** Whether a connection has received urgent data, and the kernel's memory tells where. */
  readonly hasUrgent?: boolean;
}

/** What to do about something that passes. */
export const LATER = "try again when the program has received it";
const TAKE_AWAY = "take it away before the checkpoint";
const ERROR_WAITS = {
  problem: "has an error waiting that the program has not seen yet",
  hint: LATER,
  passing: true,
} as const;

/** Of a TCP socket that may be restored closed. */
const OR_CLOSED = {
  hint: `${LATER}, or have it restored closed and empty with --tcp-close`,
  endsWithClose: true,
} as const;

/** The same of urgent data, which the kernel's memory did not tell of. */
const OR_READ = { ...OR_CLOSED, hint: `${OR_CLOSED.hint}; or ${READABLE}` } as const;

/** IFNAMSIZ. */
const DEVICE_ROOM = 16;
/** The names of options whose values the kernel changes itself in a connection. */
const OF_KERNEL: readonly number[] = [SO.INCOMING_CPU];
const SOCKET_SIZES = new Map<number, number>([
  ...OPTION_SIZES,
  [SO.DOMAIN, 4],
  [SO.TYPE, 4],
  [SO.PROTOCOL, 4],
  [SO.NETNS_COOKIE, 8],
  [SO.BINDTODEVICE, DEVICE_ROOM],
]);

let reader: OptionReader | undefined;

/** What is known beside the socket itself. */
export interface Beside {
  /** What sock_diag(7) says of it; undefined where it is neither bound nor connected, or of a protocol that is not told. */
  readonly listed: InetSocket | undefined;
  /** All multicast groups here. */
  readonly groups: readonly Group[];
  /** SO_NETNS_COOKIE of a socket of this process; undefined where the kernel has none. */
  readonly cookie: bigint | undefined;
  /** What it is among raw and ICMP sockets. */
  readonly raw?: RawSocket;
  /** Notes how something of the socket is put back. */
  readonly note: NoteCall;
  /** Opens what reads the kernel's memory; undefined where nobody may. */
  readonly kernel: () => KernelSockets | undefined;
}

/**
 * Reads a socket.
 *
 * @param fd a duplicate of its descriptor; nobody else may use the socket meanwhile
 */
export function readState(
  fd: number,
  { listed, raw, groups, cookie, note, kernel }: Beside,
): SocketState {
  reader ??= new OptionReader(SOCKET_SIZES);
  reader.read(fd);
  const kind: SocketKind = {
    family: reader.number(SO.DOMAIN) ?? 0,
    type: reader.number(SO.TYPE) ?? 0,
    protocol: reader.number(SO.PROTOCOL) ?? 0,
  };
  const info = isTcp(kind) ? readTcpInfo(fd) : undefined;
  const own = addressOf(fd, "getsockname");
  const peer = addressOf(fd, "getpeername") ?? connectingTo(listed, own) ??
    (raw === undefined || isAny(raw.peer)
      ? undefined
      : { family: raw.family, port: 0, bytes: raw.peer, scope: own?.scope ?? 0 });
  const connected = peer !== undefined || info !== undefined && isConnection(info.state);
  const { opts, more } = decodeOptions(reader);
  const options = {
    opts,
    more: more.filter(({ name }) => !connected || !OF_KERNEL.includes(name)),
  };
  const device = textOf(reader.bytes(SO.BINDTODEVICE));
  const filter = readFilter(fd, reader);
  const inNamespace = cookieOf(reader);
  let problem: Pick<SocketState, "problem" | "hint"> = {};
  if (cookie !== undefined && inNamespace !== undefined && cookie !== inNamespace) {
    problem = {
      problem: "is of another network namespace",
      hint: "close it before the checkpoint",
    };
  } else if (filterProblem(reader) !== undefined) {
    problem = { problem: filterProblem(reader), hint: TAKE_AWAY };
  }
  const ready = pollNow(fd);
  const shutdown = listed?.shutdown ?? shutdownOf(ready, info);
  const settings = [
    // One that was a connection has some of its settings still.
    ...readOptions(fd, kind, info !== undefined && (isConnection(info.state) || shutdown !== 0)),
    ...isTcp(kind) ? [] : readMemberships(fd, kind.family, groups),
    ...listed?.md5Keys === undefined ? [] : md5Options(kind.family, listed.md5Keys),
  ];
  problem = problem.problem !== undefined ? problem : optionProblem(fd, kind, settings);
  const begun = isTcp(kind) || problem.problem !== undefined
    ? {}
    : readCorked(fd, kind, peer, kernel);
  const state: SocketState = {
    kind,
    ...problem,
    ...begun,
    own,
    peer,
    info,
    options,
    more: settings,
    device,
    filter,
    isForeign: !connected && own !== undefined && isForeign(own),
    shutdown,
    owner: readOwner(fd),
    queue: [],
  };
  if (state.problem !== undefined) return state;
  if (info !== undefined) {
    const ended = state.isForeign ? undefined : readEnded(fd, ready, info, kernel, note);
    const marked = markOf(fd, info, listed);
    const isUrgent = marked.hasMark === true || (ready & POLL.PRI) !== 0;
    const hasUrgent = isUrgent && hasStream(info.state) && canReadUrgent(fd, kernel);
    const seen = hasUrgent ? ready & ~POLL.PRI : ready;
    const found = tcpProblem(fd, seen, info, ended !== undefined);
    const mark = hasUrgent ? { hasMark: marked.hasMark, hasUrgent } : marked;
    return { ...state, ended, ...mark, ...found };
  }
  const isLite = kind.type === SOCK.DGRAM && kind.protocol === IPPROTO.UDPLITE;
  if ((ready & POLL.ERR) !== 0) {
    if ((ready & POLL.IN) === 0) return { ...state, losesError: true };
    // To look at messages behind it would take it away as well.
    const queue = isLite && !canChoosePort(kind)
      ? undefined
      : readBehindError(fd, kind, own, kernel);
    return { ...state, ...queue === undefined ? ERROR_WAITS : { queue, losesError: true } };
  }
  if ((ready & POLL.IN) === 0) return state;
  if (kind.type === SOCK.DGRAM && kind.protocol === IPPROTO.UDP || isLite && canChoosePort(kind)) {
    const queue = peekDatagrams(fd, note);
    const isSigned = queue.every(({ from }) => decodeAddress(from) !== undefined);
    if (isSigned) return { ...state, queue };
    const problem = "has a message waiting whose sender is not told";
    return { ...state, problem, hint: LATER, passing: true };
  }
  if (isLite) {
    // At its end a socket that is shut down gives empty messages without end.
    using _offset = new PeekOffset(fd, note);
    if (peekMessage(fd, 1).result <= 0n) return state;
    const problem = "has messages waiting, which take a newer kernel (Linux 6.3)";
    return { ...state, problem, hint: LATER, passing: true };
  }
  const found = readRawQueue(fd, kind, own, kernel);
  return { ...state, ...found, ...found.problem && { hint: LATER, passing: true } };
}

/**
 * Why a TCP socket cannot be saved as it is now.
 *
 * @param ready what {@link pollNow} says of it
 * @param isRead whether what is left of it where it is over has been read
 */
export function tcpProblem(
  fd: number,
  ready: number,
  { state }: TcpInfo,
  isRead = false,
): Pick<SocketState, "problem" | "hint" | "passing" | "endsWithClose"> {
  if (isRead && state === TCP.CLOSE) return {};
  if (state === TCP.SYN_RECV) {
    // The kernel takes neither numbers nor queues of one (tcp_repair_set() of net/ipv4/tcp.c).
    return { problem: "is a connection that is not made yet (SYN_RECV)", hint: "try again" };
  }
  if ((ready & POLL.PRI) !== 0) {
    return { problem: "has urgent data (MSG_OOB) waiting", passing: true, ...OR_READ };
  }
  if ((ready & POLL.ERR) !== 0) {
    // Which one it is nobody can look at without taking it away (sock_error()).
    const is = state === TCP.CLOSE ? "was reset or given up, and has" : "has";
    const problem = `${is} an error waiting that the program has not seen yet`;
    return { problem, passing: true, ...OR_CLOSED };
  }
  if (state === TCP.CLOSE && bytesWaiting(fd) > 0) {
    return { problem: "is closed, with something in it that was not received", ...OR_CLOSED };
  }
  return {};
}

/** Whether the kernel's memory tells where urgent data is, and what is behind it. */
function canReadUrgent(fd: number, kernel: Beside["kernel"]): boolean {
  try {
    return kernel()?.urgent(fd) !== undefined;
  } catch (error) {
    if (error instanceof StasisError && error.code === "unsupported") return false;
    throw error;
  }
}

/** What there is behind urgent data: no look shows it. */
function markOf(
  fd: number,
  { state }: TcpInfo,
  listed: InetSocket | undefined,
): Pick<SocketState, "problem" | "hint" | "passing" | "endsWithClose" | "hasMark"> {
  if (listed === undefined || !hasStream(state)) return {};
  const beyond = bytesBeyondMark(fd, listed);
  const problem = markProblem(beyond);
  return {
    ...problem === undefined ? {} : { problem, passing: true, ...OR_READ },
    hasMark: beyond > 0,
  };
}

function optionProblem(
  fd: number,
  kind: SocketKind,
  options: readonly Option[],
): Pick<SocketState, "problem" | "hint" | "passing"> {
  if (options.some(({ level, name }) => level === SOL.TCP && name === TCP_OPTION.ULP)) {
    return {
      problem: "has a protocol of its own in the kernel (TCP_ULP, as TLS)",
      hint: "have the program do its TLS itself",
    };
  }
  if (isTcp(kind) && hasAuthentication(fd)) {
    return {
      problem: "signs what it sends with keys (TCP_AO)",
      hint: "close it before the checkpoint",
    };
  }
  return {};
}

/** The size of a struct tcp_ao_info_opt. */
const AO_INFO_SIZE = 48;

/** Whether a TCP socket has keys of TCP_AO: where it has none the kernel says ENOENT, or that it knows of no such thing. */
function hasAuthentication(fd: number): boolean {
  const length = new Uint8Array(Uint32Array.of(AO_INFO_SIZE).buffer);
  const info = new Uint8Array(AO_INFO_SIZE);
  return syscall(SYSCALLS.getsockopt, fd, SOL.TCP, TCP_OPTION.AO_INFO, info, length) === 0n;
}

/** Of one that sock_diag(7) does not list: one that was connected is shut down in both directions. */
function shutdownOf(ready: number, info: TcpInfo | undefined): number {
  if (info === undefined) return 0;
  return (ready & POLL.RDHUP) !== 0 ? 3 : 0;
}

/** A C string. */
function textOf(bytes = new Uint8Array(0)): string {
  const end = bytes.indexOf(0);
  return decodeBytes(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Whether a socket cannot be bound to an address without IP_FREEBIND. */
function isForeign(own: Address): boolean {
  if (isAny(own.bytes)) return false;
  using probe = makeSocket({ family: own.family, type: SOCK.DGRAM, protocol: 0 });
  const name = encodeAddress({ ...own, port: 0 });
  const bound = syscall(SYSCALLS.bind, probe.fd, name, name.byteLength);
  return bound === -BigInt(Errno.EADDRNOTAVAIL);
}

/** Whom a connection is being made to: getpeername(2) does not tell of it yet. */
function connectingTo(
  listed: InetSocket | undefined,
  own: Address | undefined,
): Address | undefined {
  if (listed?.state !== TCP.SYN_SENT) return undefined;
  const { family, target: { address: bytes, port } } = listed;
  return { family, port, bytes, scope: own?.scope ?? 0 };
}

const NAME_ROOM = 128;
const nameBytes = new Uint8Array(NAME_ROOM);
const nameLength = new Uint8Array(4);

/** What getsockname(2) or getpeername(2) says; undefined where it has none. */
function addressOf(fd: number, call: "getsockname" | "getpeername"): Address | undefined {
  const view = new DataView(nameLength.buffer);
  view.setUint32(0, NAME_ROOM, true);
  const result = syscall(SYSCALLS[call], fd, nameBytes, nameLength);
  if (isErrno(result)) return undefined;
  return decodeAddress(nameBytes.subarray(0, view.getUint32(0, true)));
}
