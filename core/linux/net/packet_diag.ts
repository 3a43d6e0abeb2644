/**
 * What the kernel tells of packet(7) sockets: sock_diag(7), `include/uapi/linux/packet_diag.h`. Pure: a request's bytes,
 * and what an answer says.
 *
 * @module
 */
import { NLM_F, nlmsghdr, parseAttributes } from "./netlink.ts";
import { defineStruct } from "../struct.ts";
import { SOCK_DIAG_BY_FAMILY } from "./unix_diag.ts";

export const AF_PACKET = 17;

/** struct packet_diag_req. */
const request = defineStruct("packet_diag_req", 20, { family: [0, "u8"], show: [8, "u32"] });

/** struct packet_diag_msg. */
const answer = defineStruct("packet_diag_msg", 16, {
  type: [1, "u8"],
  protocol: [2, "u16"],
  ino: [4, "u32"],
});

/** struct packet_diag_info. */
const information = defineStruct("packet_diag_info", 24, {
  index: [0, "u32"],
  version: [4, "u32"],
  reserve: [8, "u32"],
  copyThreshold: [12, "u32"],
  timestamp: [16, "u32"],
  flags: [20, "u32"],
});

/** struct packet_diag_ring, and struct tpacket_req3, by which one is made. */
export const packetRing = defineStruct("tpacket_req3", 28, {
  blockSize: [0, "u32"],
  blockNr: [4, "u32"],
  frameSize: [8, "u32"],
  frameNr: [12, "u32"],
  retireTmo: [16, "u32"],
  sizeofPriv: [20, "u32"],
  features: [24, "u32"],
});
/** A ring. */
export type PacketRing = ReturnType<typeof packetRing.read>;

/** Where the parts of a struct packet_diag_mclist lie. */
const MEMBERSHIP = { INDEX: 0, COUNT: 4, TYPE: 8, LENGTH: 10, ADDRESS: 12, SIZE: 44 } as const;
/** PACKET_SHOW_*: all that is told but memory and filter. */
const SHOW = 1 | 2 | 4 | 8;
/** PACKET_DIAG_*: attributes of an answer. */
const ATTRIBUTE = { INFO: 0, MCLIST: 1, RX_RING: 2, TX_RING: 3, FANOUT: 4 } as const;
/** PDI_*: bits of a struct packet_diag_info. */
const PDI = { AUXDATA: 2, ORIGDEV: 4, VNETHDR: 8, LOSS: 0x10 } as const;

/** What a socket has asked an interface for. */
export interface PacketMembership {
  /** The number of the interface. */
  readonly index: number;
  /** PACKET_MR_*. */
  readonly type: number;
  readonly address: Uint8Array<ArrayBuffer>;
  /** How often. */
  readonly count: number;
}

/** A packet socket, as the kernel tells it. */
export interface PacketSocket {
  /** The inode: that of `socket:[INODE]`. */
  readonly ino: number;
  /** SOCK_*. */
  readonly type: number;
  /** ETH_P_*; 0: none. */
  readonly protocol: number;
  /** The number of the interface that it is bound to; 0: all. */
  readonly index: number;
  /** TPACKET_V*. */
  readonly version: number;
  readonly reserve: number;
  readonly copyThreshold: number;
  readonly timestamp: number;
  readonly auxData: boolean;
  readonly originalDevice: boolean;
  readonly vnetHeader: boolean;
  readonly loss: boolean;
  readonly memberships: readonly PacketMembership[];
  /** PACKET_FANOUT as getsockopt(2) has it; absent: it is in no group. */
  readonly fanout?: number;
  /** Rings of memory that a program may map; absent: it has none. */
  readonly receiveRing?: PacketRing;
  readonly sendRing?: PacketRing;
}

/** A request for all packet sockets of this network namespace. */
export function packetDiagRequest(): Uint8Array {
  const bytes = new Uint8Array(nlmsghdr.size + request.size);
  const flags = NLM_F.REQUEST | NLM_F.DUMP;
  nlmsghdr.write(bytes, { len: bytes.byteLength, type: SOCK_DIAG_BY_FAMILY, flags });
  request.write(bytes, { family: AF_PACKET, show: SHOW }, nlmsghdr.size);
  return bytes;
}

/**
 * Reads one answer.
 *
 * @param payload the message without its header
 * @throws {RangeError} of one that is too short
 */
export function parsePacketSocket(payload: Uint8Array): PacketSocket {
  const { type, protocol, ino } = answer.read(payload);
  const attributes = parseAttributes(payload, answer.size);
  const info = attributes.get(ATTRIBUTE.INFO);
  if (info === undefined) throw new RangeError("a packet_diag_msg without its information");
  const { index, version, reserve, copyThreshold, timestamp, flags } = information.read(info);
  const fanout = attributes.get(ATTRIBUTE.FANOUT);
  return {
    ino,
    type,
    protocol,
    index,
    version,
    reserve,
    copyThreshold,
    timestamp,
    auxData: (flags & PDI.AUXDATA) !== 0,
    originalDevice: (flags & PDI.ORIGDEV) !== 0,
    vnetHeader: (flags & PDI.VNETHDR) !== 0,
    loss: (flags & PDI.LOSS) !== 0,
    memberships: parseMemberships(attributes.get(ATTRIBUTE.MCLIST) ?? new Uint8Array()),
    fanout: fanout === undefined ? undefined : viewOf(fanout).getUint32(0, true),
    receiveRing: parseRing(attributes.get(ATTRIBUTE.RX_RING)),
    sendRing: parseRing(attributes.get(ATTRIBUTE.TX_RING)),
  };
}

function parseRing(bytes: Uint8Array | undefined): PacketRing | undefined {
  return bytes === undefined ? undefined : packetRing.read(bytes);
}

function parseMemberships(bytes: Uint8Array): PacketMembership[] {
  const view = viewOf(bytes);
  const count = Math.floor(bytes.byteLength / MEMBERSHIP.SIZE);
  return Array.from({ length: count }, (_, which) => {
    const at = which * MEMBERSHIP.SIZE;
    const address = at + MEMBERSHIP.ADDRESS;
    return {
      index: view.getUint32(at + MEMBERSHIP.INDEX, true),
      count: view.getUint32(at + MEMBERSHIP.COUNT, true),
      type: view.getUint16(at + MEMBERSHIP.TYPE, true),
      address: bytes.slice(address, address + view.getUint16(at + MEMBERSHIP.LENGTH, true)),
    };
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
