/**
 * What the images say of a socket.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { fown_entrySchema } from "../../images/gen/file_owner_pb.ts";
import type {
  inet_extra_entrySchema,
  inet_sk_entry,
  inet_sk_entrySchema,
  tcp_stream_entrySchema,
} from "../../images/gen/inet_pb.ts";
import { present } from "../../images/present.ts";
import type { UrgentMark } from "./kernel_sockets.ts";
import type { Option } from "./options.ts";
import { AF_INET, AF_INET6, type InetEnd, TCP } from "../../core/linux/net/inet_diag.ts";
import { SOCK } from "./protocol.ts";
import { encodeAddress, needsScope, toWords } from "./address.ts";
import { IP, IPV6, SOL, TCP_OPTION } from "./option_lists.ts";
import { onWire } from "./network_lock.ts";
import type { SocketState } from "./state.ts";
import type { Stream } from "./connections.ts";
import { TCPI_OPT } from "./tcp_info.ts";
import type { OrphanedConnection } from "./waiting_connections.ts";

/** What identifies a socket in the images. */
export interface Identity {
  readonly id: number;
  readonly ino: number;
  /** O_*, without O_CLOEXEC. */
  readonly flags: number;
  readonly fown: MessageInitShape<typeof fown_entrySchema>;
}

/** The entry of `files.img`. @param nameOf the name of an interface by its number */
export function describeSocket(
  { id, ino, flags, fown }: Identity,
  state: SocketState,
  nameOf: (index: number) => string | undefined,
): MessageInitShape<typeof inet_sk_entrySchema> {
  const { kind, own, peer, info, options, device, filter, shutdown } = state;
  const { family, type, protocol } = kind;
  const none = new Uint8Array(family === AF_INET ? 4 : 16);
  const source = own?.bytes ?? none;
  const scope = own !== undefined && needsScope(source) ? nameOf(own.scope) : undefined;
  return {
    id,
    ino,
    family,
    type,
    proto: protocol,
    state: info?.state ?? (peer === undefined ? TCP.CLOSE : TCP.ESTABLISHED),
    // Raw sockets have their protocol there.
    srcPort: type === SOCK.RAW ? 0 : own?.port ?? 0,
    dstPort: type === SOCK.RAW ? 0 : peer?.port ?? 0,
    flags,
    backlog: info?.state === TCP.LISTEN ? info.backlog : 0,
    srcAddr: toWords(source),
    dstAddr: toWords(peer?.bytes ?? none),
    fown,
    opts: {
      ...options.opts,
      ...device === "" ? {} : { soBoundDev: device },
      soFilter: [...filter],
    },
    v6only: family === AF_INET6 ? flagOf(state, SOL.IPV6, IPV6.V6ONLY) : undefined,
    ipOpts: {
      freebind: flagOf(state, SOL.IP, IP.FREEBIND) || undefined,
      pktinfo: flagOf(state, SOL.IP, IP.PKTINFO) || flagOf(state, SOL.IPV6, IPV6.RECVPKTINFO) ||
        undefined,
      tos: numberOf(state, SOL.IP, IP.TOS),
      ttl: numberOf(state, SOL.IP, IP.TTL),
      raw: type === SOCK.RAW
        ? {
          hdrincl: flagOf(state, SOL.IP, IP.HDRINCL) || undefined,
          nodefrag: flagOf(state, SOL.IP, IP.NODEFRAG) || undefined,
          checksum: flagOf(state, SOL.IP, IP.CHECKSUM) || undefined,
        }
        : undefined,
    },
    ifname: scope,
    shutdown: shutdown === 0 ? undefined : shutdown,
    tcpOpts: info === undefined ? undefined : {
      cork: flagOf(state, SOL.TCP, TCP_OPTION.CORK) || undefined,
      nodelay: flagOf(state, SOL.TCP, TCP_OPTION.NODELAY) || undefined,
      keepcnt: numberOf(state, SOL.TCP, TCP_OPTION.KEEPCNT),
      keepidle: numberOf(state, SOL.TCP, TCP_OPTION.KEEPIDLE),
      keepintvl: numberOf(state, SOL.TCP, TCP_OPTION.KEEPINTVL),
    },
  };
}

/** What `tcp-stream-INO.img` says of a connection, and the bytes behind that. */
export function describeStream({ sent, received }: Stream): {
  readonly entry: MessageInitShape<typeof tcp_stream_entrySchema>;
  readonly bytes: Uint8Array;
} {
  const { options, sendScale, receiveScale } = sent.info;
  const { window } = received;
  const bytes = new Uint8Array(received.bytes.byteLength + sent.bytes.byteLength);
  bytes.set(received.bytes);
  bytes.set(sent.bytes, received.bytes.byteLength);
  const entry = {
    inqLen: received.bytes.byteLength,
    inqSeq: received.sequence,
    outqLen: sent.bytes.byteLength,
    outqSeq: sent.sequence,
    optMask: options,
    sndWscale: (options & TCPI_OPT.WSCALE) === 0 ? 0 : sendScale,
    mssClamp: received.segment,
    rcvWscale: (options & TCPI_OPT.WSCALE) === 0 ? undefined : receiveScale,
    timestamp: (options & TCPI_OPT.TIMESTAMPS) === 0 ? undefined : received.timestamp,
    unsqLen: sent.unsent,
    ...window,
  };
  return { entry, bytes };
}

/** A connection as one that has been closed in both directions (`--tcp-close`). */
export function closed(state: SocketState): SocketState {
  const { info } = state;
  if (info === undefined) return state;
  return { ...state, info: { ...info, state: TCP.CLOSE }, peer: undefined, shutdown: 3 };
}

/** A connection as one that is to be made: the other end waits to be accepted. */
export function connecting(state: SocketState): SocketState {
  const { info } = state;
  if (info === undefined) return state;
  return { ...state, info: { ...info, state: TCP.SYN_SENT } };
}

/** What a socket has to do with connections. */
export interface OfConnections {
  /** What it has sent to one; undefined: it is no other end of one. */
  readonly sent: Uint8Array<ArrayBuffer> | undefined;
  /** Those that wait at it, and whose other ends are over. */
  readonly orphaned: readonly OrphanedConnection[];
  /** Where there is urgent data in what it has received. */
  readonly mark: UrgentMark | undefined;
  /** Behind how many bytes it is of what was sent and not acknowledged. */
  readonly urgentAt: number | undefined;
}

/** As it goes over the wire: whoever connects does so by IPv4 where that was. */
function sockaddrOf({ address, port }: InetEnd): Uint8Array<ArrayBuffer> {
  const bytes = onWire(address);
  return encodeAddress({
    family: bytes.byteLength === 4 ? AF_INET : AF_INET6,
    port,
    bytes,
    scope: 0,
  });
}

/** The entry of `inet-extra.img`; undefined where there is nothing to be said. @param connections what it has to do with them */
export function describeExtra(
  id: number,
  { options, more, queue, isForeign, owner: { uid, gid }, ended, corked }: SocketState,
  { sent, orphaned, mark, urgentAt }: OfConnections,
): MessageInitShape<typeof inet_extra_entrySchema> | undefined {
  const isEmpty = options.more.length === 0 && more.length === 0 && queue.length === 0;
  const isRoots = uid === 0 && gid === 0;
  const isWhole = ended === undefined && corked === undefined;
  const isWaiting = sent !== undefined;
  const isConcerned = isWaiting || orphaned.length > 0 || mark !== undefined ||
    urgentAt !== undefined;
  if (isEmpty && !isForeign && isRoots && !isConcerned && isWhole) return undefined;
  return {
    id,
    options: [...options.more],
    more: [...more],
    queue: [...queue],
    foreign: isForeign || undefined,
    waiting: isWaiting || undefined,
    sent: sent === undefined || sent.byteLength === 0 ? undefined : sent,
    orphaned: orphaned.map(({ source, target, received, end, reset }) => ({
      from: sockaddrOf(target),
      to: sockaddrOf(source),
      received,
      end,
      reset,
    })),
    urgent: mark && { offset: mark.offset, byte: mark.byte, read: mark.isRead },
    urgentSent: urgentAt,
    ended,
    corked: corked && { ...corked, to: encodeAddress(corked.to) },
    ...isRoots ? {} : { uid, gid },
  };
}

/** The options that `inet_sk_entry` has a field for. */
const IN_ENTRY: readonly (readonly [level: number, name: number])[] = [
  [SOL.IP, IP.FREEBIND],
  [SOL.IP, IP.PKTINFO],
  [SOL.IP, IP.TOS],
  [SOL.IP, IP.TTL],
  [SOL.IP, IP.HDRINCL],
  [SOL.IP, IP.NODEFRAG],
  [SOL.IP, IP.CHECKSUM],
  [SOL.IPV6, IPV6.V6ONLY],
  [SOL.IPV6, IPV6.RECVPKTINFO],
  [SOL.TCP, TCP_OPTION.CORK],
  [SOL.TCP, TCP_OPTION.NODELAY],
  [SOL.TCP, TCP_OPTION.KEEPCNT],
  [SOL.TCP, TCP_OPTION.KEEPIDLE],
  [SOL.TCP, TCP_OPTION.KEEPINTVL],
];

/** Whether a program would see a difference without `inet-extra.img`. */
export function needsExtra(
  { options, more, queue, isForeign, ended, corked }: SocketState,
): boolean {
  return ended !== undefined || corked !== undefined || options.more.length > 0 ||
    queue.length > 0 || isForeign ||
    more.some((option) =>
      !IN_ENTRY.some(([level, name]) => option.level === level && option.name === name)
    );
}

/** The options of an entry as they are set: of images that have no `inet-extra.img`. */
export function optionsOfEntry(entry: inet_sk_entry): Option[] {
  const { ipOpts, tcpOpts, family, type } = entry;
  const options: Option[] = [];
  const set = (level: number, name: number, value: number | boolean | undefined): void => {
    if (value === undefined) return;
    options.push({ level, name, value: new Uint8Array(Uint32Array.of(Number(value)).buffer) });
  };
  set(SOL.IP, IP.FREEBIND, present(ipOpts, "freebind"));
  set(SOL.IP, IP.TOS, present(ipOpts, "tos"));
  set(SOL.IP, IP.TTL, present(ipOpts, "ttl"));
  if (family === AF_INET6) {
    // A raw socket has its number from the beginning, and takes it no more.
    if (type !== SOCK.RAW) set(SOL.IPV6, IPV6.V6ONLY, present(entry, "v6only"));
    set(SOL.IPV6, IPV6.RECVPKTINFO, present(ipOpts, "pktinfo"));
  } else {
    set(SOL.IP, IP.PKTINFO, present(ipOpts, "pktinfo"));
  }
  set(SOL.IP, IP.HDRINCL, present(ipOpts?.raw, "hdrincl"));
  set(SOL.IP, IP.NODEFRAG, present(ipOpts?.raw, "nodefrag"));
  set(SOL.IP, IP.CHECKSUM, present(ipOpts?.raw, "checksum"));
  set(SOL.TCP, TCP_OPTION.CORK, present(tcpOpts, "cork"));
  set(SOL.TCP, TCP_OPTION.NODELAY, present(tcpOpts, "nodelay"));
  set(SOL.TCP, TCP_OPTION.KEEPCNT, present(tcpOpts, "keepcnt"));
  set(SOL.TCP, TCP_OPTION.KEEPIDLE, present(tcpOpts, "keepidle"));
  set(SOL.TCP, TCP_OPTION.KEEPINTVL, present(tcpOpts, "keepintvl"));
  return options;
}

/** The value of an option that is a number and not at its default. */
function numberOf({ more }: SocketState, level: number, name: number): number | undefined {
  const value = more.find((one) => one.level === level && one.name === name)?.value;
  if (value === undefined || value.byteLength < 4) return undefined;
  return new DataView(value.buffer, value.byteOffset).getUint32(0, true);
}

function flagOf(state: SocketState, level: number, name: number): boolean {
  return (numberOf(state, level, name) ?? 0) !== 0;
}
