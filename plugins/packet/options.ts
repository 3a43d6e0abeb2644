/**
 * Options of packet sockets (`include/uapi/linux/if_packet.h`).
 *
 * @module
 */

export const SOL_PACKET = 263;

/** PACKET_*. */
export const PACKET = {
  ADD_MEMBERSHIP: 1,
  RX_RING: 5,
  COPY_THRESH: 7,
  AUXDATA: 8,
  ORIGDEV: 9,
  VERSION: 10,
  RESERVE: 12,
  TX_RING: 13,
  LOSS: 14,
  VNET_HDR: 15,
  TIMESTAMP: 17,
  FANOUT: 18,
  TX_HAS_OFF: 19,
  QDISC_BYPASS: 20,
  IGNORE_OUTGOING: 23,
  VNET_HDR_SZ: 24,
} as const;

/** The size of a struct virtio_net_hdr, which PACKET_VNET_HDR alone means. */
export const USUAL_HEADER = 10;

/** Those that only getsockopt(2) tells, and CRIU's image has no field for. */
export const MORE: readonly number[] = [
  PACKET.TX_HAS_OFF,
  PACKET.QDISC_BYPASS,
  PACKET.IGNORE_OUTGOING,
  PACKET.VNET_HDR_SZ,
];

/** SOCK_RAW, SOCK_DGRAM, and SOCK_PACKET, of old programs. */
export const TYPE = { RAW: 3, DGRAM: 2, PACKET: 10 } as const;

/** Groups of PACKET_FANOUT whose members are chosen by a program that nobody can read: PACKET_FANOUT_CBPF and EBPF. */
const PROGRAMS: readonly number[] = [6, 7];

/** Whether the members of a group are chosen by a program. @param fanout PACKET_FANOUT as getsockopt(2) has it */
export function hasProgram(fanout: number): boolean {
  return PROGRAMS.includes(fanout >>> 16 & 0xff);
}

/** What a group is known by in its network namespace. @param fanout as of {@link hasProgram} */
export function groupId(fanout: number): number {
  return fanout & 0xffff;
}

/** The two bytes of a number in the other order (htons(3)). */
export function swapped(number: number): number {
  return (number & 0xff) << 8 | number >>> 8 & 0xff;
}
