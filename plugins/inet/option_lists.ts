/**
 * The options of internet sockets that getsockopt(2) tells and setsockopt(2) takes in the same form, by their level.
 *
 * Left out: what only tells (TCP_INFO, IP_MTU), what acts once (TCP_QUICKACK), and what has a place of its own: window
 * and segment size of a connection (`tcp_stream.ts`), memberships (`memberships.ts`), keys (`md5_keys.ts`).
 *
 * @module
 */
import { AF_INET6, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { SO } from "../../core/linux/net/socket_options.ts";
import { isTcp, SOCK, type SocketKind } from "./protocol.ts";

/** Levels of options (`include/linux/socket.h`). */
export const SOL = {
  IP: 0,
  TCP: 6,
  UDP: 17,
  IPV6: 41,
  ICMPV6: 58,
  UDPLITE: 136,
  RAW: 255,
} as const;

/** `include/uapi/linux/in.h`. */
export const IP = {
  TOS: 1,
  TTL: 2,
  HDRINCL: 3,
  OPTIONS: 4,
  RECVOPTS: 6,
  RETOPTS: 7,
  PKTINFO: 8,
  MTU_DISCOVER: 10,
  RECVERR: 11,
  RECVTTL: 12,
  RECVTOS: 13,
  FREEBIND: 15,
  PASSSEC: 18,
  TRANSPARENT: 19,
  ORIGDSTADDR: 20,
  MINTTL: 21,
  NODEFRAG: 22,
  CHECKSUM: 23,
  BIND_ADDRESS_NO_PORT: 24,
  RECVFRAGSIZE: 25,
  RECVERR_RFC4884: 26,
  MULTICAST_IF: 32,
  MULTICAST_TTL: 33,
  MULTICAST_LOOP: 34,
  MULTICAST_ALL: 49,
  UNICAST_IF: 50,
  LOCAL_PORT_RANGE: 51,
} as const;

/** `include/uapi/linux/in6.h`. */
export const IPV6 = {
  CHECKSUM: 7,
  FLOWINFO: 11,
  UNICAST_HOPS: 16,
  MULTICAST_IF: 17,
  MULTICAST_HOPS: 18,
  MULTICAST_LOOP: 19,
  MTU_DISCOVER: 23,
  RECVERR: 25,
  V6ONLY: 26,
  MULTICAST_ALL: 29,
  RECVERR_RFC4884: 31,
  FLOWINFO_SEND: 33,
  HDRINCL: 36,
  RECVPKTINFO: 49,
  RECVHOPLIMIT: 51,
  RECVHOPOPTS: 53,
  HOPOPTS: 54,
  RTHDRDSTOPTS: 55,
  RECVRTHDR: 56,
  RTHDR: 57,
  RECVDSTOPTS: 58,
  DSTOPTS: 59,
  RECVPATHMTU: 60,
  DONTFRAG: 62,
  RECVTCLASS: 66,
  TCLASS: 67,
  AUTOFLOWLABEL: 70,
  ADDR_PREFERENCES: 72,
  MINHOPCOUNT: 73,
  ORIGDSTADDR: 74,
  TRANSPARENT: 75,
  UNICAST_IF: 76,
  RECVFRAGSIZE: 77,
  FREEBIND: 78,
} as const;

/** `include/uapi/linux/tcp.h`. */
export const TCP_OPTION = {
  NODELAY: 1,
  MAXSEG: 2,
  CORK: 3,
  KEEPIDLE: 4,
  KEEPINTVL: 5,
  KEEPCNT: 6,
  SYNCNT: 7,
  LINGER2: 8,
  DEFER_ACCEPT: 9,
  WINDOW_CLAMP: 10,
  INFO: 11,
  CONGESTION: 13,
  THIN_LINEAR_TIMEOUTS: 16,
  THIN_DUPACK: 17,
  USER_TIMEOUT: 18,
  REPAIR: 19,
  REPAIR_QUEUE: 20,
  QUEUE_SEQ: 21,
  REPAIR_OPTIONS: 22,
  FASTOPEN: 23,
  TIMESTAMP: 24,
  NOTSENT_LOWAT: 25,
  SAVE_SYN: 27,
  REPAIR_WINDOW: 29,
  FASTOPEN_CONNECT: 30,
  ULP: 31,
  MD5SIG_EXT: 32,
  FASTOPEN_KEY: 33,
  FASTOPEN_NO_COOKIE: 34,
  INQ: 36,
  TX_DELAY: 37,
  AO_INFO: 40,
  RTO_MAX_MS: 44,
  RTO_MIN_US: 45,
  DELACK_MAX_US: 46,
} as const;

/** `include/uapi/linux/udp.h`. */
export const UDP = {
  CORK: 1,
  ENCAP: 100,
  NO_CHECK6_TX: 101,
  NO_CHECK6_RX: 102,
  SEGMENT: 103,
  GRO: 104,
} as const;
/** UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV (`include/net/udplite.h`). */
const UDPLITE = { SEND_COVERAGE: 10, RECEIVE_COVERAGE: 11 } as const;
/** ICMP_FILTER (`include/uapi/linux/icmp.h`), ICMPV6_FILTER (`include/uapi/linux/icmpv6.h`). */
const ICMP_FILTER = 1;

/** Options with the most bytes that each has. */
export type OptionSizes = ReadonlyMap<number, number>;

const words = (...names: readonly number[]): [number, number][] => names.map((name) => [name, 4]);

/** IP_OPTIONS has at most 40 bytes. */
const IP_SIZES: OptionSizes = new Map([
  ...words(...Object.values(IP).filter((name) => name !== IP.OPTIONS)),
  [IP.OPTIONS, 40],
]);

/** Extension headers: a length of 8 bits in units of 8 bytes. */
const EXTENSION_ROOM = 2048;
const EXTENSIONS: readonly number[] = [
  IPV6.HOPOPTS,
  IPV6.RTHDRDSTOPTS,
  IPV6.RTHDR,
  IPV6.DSTOPTS,
];
const IPV6_SIZES: OptionSizes = new Map([
  ...words(
    ...Object.values(IPV6).filter((name) =>
      name !== IPV6.FLOWINFO && name !== IPV6.CHECKSUM && !EXTENSIONS.includes(name)
    ),
  ),
  ...EXTENSIONS.map((name): [number, number] => [name, EXTENSION_ROOM]),
]);

/** What TCP takes nothing of, and where it keeps something else: the hops of the packet that asked for a connection. */
const OF_MULTICAST: ReadonlyMap<number, readonly number[]> = new Map([
  [SOL.IP, [IP.MULTICAST_IF, IP.MULTICAST_TTL, IP.MULTICAST_LOOP, IP.MULTICAST_ALL]],
  [SOL.IPV6, [
    IPV6.MULTICAST_IF,
    IPV6.MULTICAST_HOPS,
    IPV6.MULTICAST_LOOP,
    IPV6.MULTICAST_ALL,
  ]],
]);
const withoutMulticast = (level: number, sizes: OptionSizes): OptionSizes =>
  new Map([...sizes].filter(([name]) => OF_MULTICAST.get(level)?.includes(name) !== true));

/** Of every TCP socket. */
const TCP_SIZES: OptionSizes = new Map([
  ...words(
    TCP_OPTION.NODELAY,
    TCP_OPTION.CORK,
    TCP_OPTION.KEEPIDLE,
    TCP_OPTION.KEEPINTVL,
    TCP_OPTION.KEEPCNT,
    TCP_OPTION.SYNCNT,
    TCP_OPTION.LINGER2,
    TCP_OPTION.DEFER_ACCEPT,
    TCP_OPTION.THIN_LINEAR_TIMEOUTS,
    TCP_OPTION.THIN_DUPACK,
    TCP_OPTION.USER_TIMEOUT,
    TCP_OPTION.NOTSENT_LOWAT,
    TCP_OPTION.SAVE_SYN,
    TCP_OPTION.INQ,
    TCP_OPTION.TX_DELAY,
    TCP_OPTION.RTO_MAX_MS,
    TCP_OPTION.RTO_MIN_US,
    TCP_OPTION.DELACK_MAX_US,
  ),
  // TCP_CA_NAME_MAX, TCP_ULP_NAME_MAX of `include/net/tcp.h`.
  [TCP_OPTION.CONGESTION, 16],
  [TCP_OPTION.ULP, 16],
]);
/** What the kernel itself changes in a connection, or takes of none. */
const UNCONNECTED_TCP_SIZES: OptionSizes = new Map([
  ...TCP_SIZES,
  ...words(
    TCP_OPTION.MAXSEG,
    TCP_OPTION.WINDOW_CLAMP,
    TCP_OPTION.FASTOPEN,
    TCP_OPTION.FASTOPEN_CONNECT,
    TCP_OPTION.FASTOPEN_NO_COOKIE,
  ),
  // Two keys of 16 bytes.
  [TCP_OPTION.FASTOPEN_KEY, 32],
]);
const UDP_SIZES: OptionSizes = new Map(words(...Object.values(UDP)));
const UDPLITE_SIZES: OptionSizes = new Map(words(...Object.values(UDPLITE)));
/** Those that no other plugin's sockets have. SO_TXTIME is a struct sock_txtime of 8 bytes. */
const SOCKET_SIZES: OptionSizes = new Map([...words(SO.ZEROCOPY, SO.TXREHASH), [SO.TXTIME, 8]]);

/**
 * The options of a socket, by level, in the order in which they are to be set.
 *
 * @param connected whether it is a connection
 */
export function optionLists(
  kind: SocketKind,
  connected: boolean,
): readonly (readonly [level: number, sizes: OptionSizes])[] {
  const { family, type, protocol } = kind;
  const lists: (readonly [number, OptionSizes])[] = [[SOL_SOCKET, SOCKET_SIZES]];
  // A socket of IPv6 may have connections of IPv4; a raw one does not.
  if (family !== AF_INET6 || type !== SOCK.RAW) lists.push([SOL.IP, IP_SIZES]);
  if (family === AF_INET6) lists.push([SOL.IPV6, IPV6_SIZES]);
  if (isTcp(kind)) lists.push([SOL.TCP, connected ? TCP_SIZES : UNCONNECTED_TCP_SIZES]);
  if (type === SOCK.DGRAM && protocol === IPPROTO.UDP) lists.push([SOL.UDP, UDP_SIZES]);
  if (type === SOCK.DGRAM && protocol === IPPROTO.UDPLITE) {
    lists.push([SOL.UDP, UDP_SIZES], [SOL.UDPLITE, UDPLITE_SIZES]);
  }
  if (type === SOCK.RAW && protocol === IPPROTO.ICMP) {
    lists.push([SOL.RAW, new Map([[ICMP_FILTER, 4]])]);
  }
  if (type === SOCK.RAW && protocol === IPPROTO.ICMPV6) {
    lists.push([SOL.ICMPV6, new Map([[ICMP_FILTER, 32]])]);
  }
  if (type === SOCK.RAW && family === AF_INET6 && protocol !== IPPROTO.ICMPV6) {
    lists.push([SOL.IPV6, new Map([[IPV6.CHECKSUM, 4]])]);
  }
  return isTcp(kind)
    ? lists.map(([level, sizes]) => [level, withoutMulticast(level, sizes)])
    : lists;
}
