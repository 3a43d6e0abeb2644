/**
 * The protocols of netlink sockets (`include/uapi/linux/netlink.h`). Pure.
 *
 * @module
 */

export const SOL_NETLINK = 270;
/** SOCK_RAW and SOCK_DGRAM: the kernel makes no difference, and tells which it was. */
export const TYPES: readonly number[] = [3, 2];
/** One more than the highest protocol there can be (MAX_LINKS). */
export const PROTOCOLS = 32;
/** More words of groups than any protocol has: that of NETLINK_GENERIC grows by its families, and has some dozens. */
export const GROUP_WORDS = 1024;

/** Options of SOL_NETLINK. */
export const NETLINK = {
  ADD_MEMBERSHIP: 1,
  PKTINFO: 3,
  BROADCAST_ERROR: 4,
  NO_ENOBUFS: 5,
  LISTEN_ALL_NSID: 8,
  LIST_MEMBERSHIPS: 9,
  CAP_ACK: 10,
  EXT_ACK: 11,
  GET_STRICT_CHK: 12,
} as const;

/** Those that are on or off. */
export const FLAGS: readonly number[] = [
  NETLINK.PKTINFO,
  NETLINK.BROADCAST_ERROR,
  NETLINK.NO_ENOBUFS,
  NETLINK.LISTEN_ALL_NSID,
  NETLINK.CAP_ACK,
  NETLINK.EXT_ACK,
  NETLINK.GET_STRICT_CHK,
];

/** One socket of it gets the audit log, which is known by its process ({@link keepingName}). */
export const NETLINK_AUDIT = 9;

/** Protocols for whose sockets the kernel keeps something that nobody can ask it for: queues, tables, who has audit, which
 * events of processes one has asked for (PROC_CN_MCAST_LISTEN, with a filter). */
const KEEPING: ReadonlyMap<number, string> = new Map([
  [NETLINK_AUDIT, "NETLINK_AUDIT"],
  [11, "NETLINK_CONNECTOR"],
  [12, "NETLINK_NETFILTER"],
]);

/**
 * What the kernel calls a protocol for whose sockets it keeps something; undefined of others.
 *
 * @param auditDaemon the process that gets the audit log: programs that only write to that have nothing kept; undefined
 * where it is not known
 * @param ids what may be that: the process that has the socket, and the socket's address
 */
export function keepingName(
  protocol: number,
  auditDaemon: number | undefined,
  ids: readonly number[],
): string | undefined {
  const writesOnly = protocol === NETLINK_AUDIT && auditDaemon !== undefined &&
    (auditDaemon === 0 || !ids.includes(auditDaemon));
  return writesOnly ? undefined : KEEPING.get(protocol);
}
