/**
 * Messages to nf_tables (`include/uapi/linux/netfilter/nf_tables.h`), and sending them: one batch, which the kernel
 * carries out whole or not at all.
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../errno.ts";
import { syscall } from "../libc_ffi.ts";
import { OwnedDescriptor } from "../pidfd.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";
import { netlinkSocket, NLM_F, NLMSG, nlmsghdr, parseNetlink } from "./netlink.ts";
import { LARGEST_BUFFER, SO, tryNumber } from "./socket_options.ts";

const NETLINK_NETFILTER = 12;
/** The numbers by which {@link batch}'s socket is made, for others that make it. */
export const NETFILTER_SOCKET: ReturnType<typeof netlinkSocket> = netlinkSocket(NETLINK_NETFILTER);
/** `include/uapi/linux/netfilter/nfnetlink.h`. */
const NFNL_SUBSYS_NFTABLES = 10;
const BATCH = { BEGIN: 0x10, END: 0x11 } as const;
/** NFT_MSG_*. */
const MESSAGE = {
  NEWTABLE: 0,
  DELTABLE: 2,
  NEWCHAIN: 3,
  NEWRULE: 6,
  NEWSET: 9,
  NEWSETELEM: 12,
} as const;
/** NFPROTO_INET: IPv4 and IPv6. */
const NFPROTO_INET = 1;
const NFPROTO_UNSPEC = 0;

/** An attribute: a number (four bytes, big-endian), a string, bytes, or attributes in it. */
type Attribute = readonly [
  type: number,
  value: number | string | Uint8Array | readonly Attribute[],
];

const NLA_F_NESTED = 0x8000;

/** Attributes one behind the other (`struct nlattr`). */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array<ArrayBuffer> {
  const parts = attributes.map(([type, value]) => {
    const nested = Array.isArray(value);
    const bytes = valueBytes(value);
    const part = new Uint8Array((4 + bytes.byteLength + 3) & ~3);
    const view = new DataView(part.buffer);
    view.setUint16(0, 4 + bytes.byteLength, true);
    view.setUint16(2, nested ? type | NLA_F_NESTED : type, true);
    part.set(bytes, 4);
    return part;
  });
  return join(parts);
}

function valueBytes(value: Attribute[1]): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return new TextEncoder().encode(`${value}\0`);
  if (typeof value !== "number") return encodeAttributes(value);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** A message of a batch. */
export interface TablesMessage {
  readonly type: number;
  readonly flags: number;
  readonly attributes: readonly Attribute[];
}

/** A table of both families. @param ends with the socket that makes it (NFT_TABLE_F_OWNER, Linux 5.12) */
export function newTable(name: string, ends: boolean): TablesMessage {
  // NFTA_TABLE_NAME, NFTA_TABLE_FLAGS.
  const attributes: Attribute[] = [[1, name], [2, ends ? 2 : 0]];
  return { type: MESSAGE.NEWTABLE, flags: NLM_F.CREATE, attributes };
}

/** Takes a table away, with all that is in it. */
export function deleteTable(name: string): TablesMessage {
  return { type: MESSAGE.DELTABLE, flags: 0, attributes: [[1, name]] };
}

/** Where a chain is looked at: packets to this machine, packets from it (NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT). */
export const HOOK = { input: 1, output: 3 } as const;

/** A chain that lets everything pass but for its rules. @param priority before others where it is lower */
export function newChain(
  table: string,
  name: keyof typeof HOOK,
  priority: number,
): TablesMessage {
  const attributes: Attribute[] = [
    [1, table],
    [3, name],
    [4, [[1, HOOK[name]], [2, priority >>> 0]]],
    [7, "filter"],
  ];
  return { type: MESSAGE.NEWCHAIN, flags: NLM_F.CREATE, attributes };
}

/** A rule at the end of a chain. */
export function newRule(
  table: string,
  chain: keyof typeof HOOK,
  expressions: readonly Attribute[],
): TablesMessage {
  return {
    type: MESSAGE.NEWRULE,
    flags: NLM_F.CREATE | NLM_F.APPEND,
    attributes: [[1, table], [2, chain], [4, expressions]],
  };
}

/** A part of the keys of a set: what nft(8) calls its type, and how many bytes it has. */
export interface KeyPart {
  readonly type: number;
  readonly size: number;
}

/** nft(8)'s numbers of types: ipv4_addr, ipv6_addr, inet_service. */
export const KEY = {
  IPV4: { type: 7, size: 4 },
  IPV6: { type: 8, size: 16 },
  PORT: { type: 13, size: 2 },
} as const satisfies Record<string, KeyPart>;
/** How many bits each type has in the number of all. */
const TYPE_BITS = 6;

/** A set of keys of several parts. @param id a number that no other of the batch has */
export function newSet(
  table: string,
  name: string,
  id: number,
  parts: readonly KeyPart[],
): TablesMessage {
  const type = parts.reduce((all, part) => all << TYPE_BITS | part.type, 0);
  const size = parts.reduce((sum, part) => sum + padded(part.size), 0);
  // NFTA_SET_TABLE, _NAME, _FLAGS, _KEY_TYPE, _KEY_LEN, _ID.
  const attributes: Attribute[] = [[1, table], [2, name], [3, 0], [4, type], [5, size], [10, id]];
  return { type: MESSAGE.NEWSET, flags: NLM_F.CREATE, attributes };
}

/** How many elements are put into one message: an attribute has at most 64 KiB. */
const MOST_ELEMENTS = 512;

/** Puts keys into a set, each with its parts one behind the other. */
export function newElements(
  table: string,
  set: string,
  keys: readonly (readonly Uint8Array[])[],
): TablesMessage[] {
  const messages: TablesMessage[] = [];
  for (let from = 0; from < keys.length; from += MOST_ELEMENTS) {
    const elements = keys.slice(from, from + MOST_ELEMENTS).map((parts): Attribute => {
      const key = join(parts.map((part) => {
        const bytes = new Uint8Array(padded(part.byteLength));
        bytes.set(part);
        return bytes;
      }));
      // NFTA_LIST_ELEM: NFTA_SET_ELEM_KEY: NFTA_DATA_VALUE.
      return [1, [[1, [[1, key]]]]];
    });
    messages.push({
      type: MESSAGE.NEWSETELEM,
      flags: NLM_F.CREATE,
      attributes: [[1, table], [2, set], [3, elements]],
    });
  }
  return messages;
}

/** Parts of keys and of what is in registers begin at words of 32 bits. */
function padded(size: number): number {
  return (size + 3) & ~3;
}

const REGISTER = 1;
/** NFT_REG32_00, the first of the registers of 32 bits. */
const FIRST_WORD = 8;

function expression(name: string, data: readonly Attribute[]): Attribute {
  return [1, [[1, name], [2, data]]];
}

/** NFT_META_MARK, NFT_META_NFPROTO, NFT_META_L4PROTO. */
export const META = { MARK: 3, NFPROTO: 15, L4PROTO: 16 } as const;
/** NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER. */
export const PAYLOAD = { NETWORK: 1, TRANSPORT: 2 } as const;

/** Goes on where something that is known of a packet is this (or is not). @param value in this machine's byte order */
export function whereMeta(key: number, value: Uint8Array, is = true): Attribute[] {
  return [expression("meta", [[1, REGISTER], [2, key]]), compare(value, is)];
}

/** A piece of a packet's header. */
export interface HeaderPart {
  /** One of PAYLOAD. */
  readonly base: number;
  readonly offset: number;
  readonly size: number;
}

/** Goes on where pieces of headers, one behind the other, are in a set. */
export function whereInSet(set: string, parts: readonly HeaderPart[]): Attribute[] {
  let register = FIRST_WORD;
  const loads = parts.map(({ base, offset, size }) => {
    const load = expression("payload", [[1, register], [2, base], [3, offset], [4, size]]);
    register += padded(size) / 4;
    return load;
  });
  // NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG.
  return [...loads, expression("lookup", [[1, set], [2, FIRST_WORD]])];
}

/** Goes on where some bits of a piece of a header are these. @param mask which bits, as many bytes as the piece has */
export function whereBits(
  { base, offset, size }: HeaderPart,
  mask: Uint8Array,
  bits: Uint8Array,
): Attribute[] {
  const none = new Uint8Array(size);
  return [
    expression("payload", [[1, REGISTER], [2, base], [3, offset], [4, size]]),
    // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR.
    expression("bitwise", [[1, REGISTER], [2, REGISTER], [3, size], [4, [[1, mask]]], [5, [[
      1,
      none,
    ]]]]),
    compare(bits, true),
  ];
}

/** NFT_CMP_EQ, NFT_CMP_NEQ. */
function compare(value: Uint8Array, is: boolean): Attribute {
  return expression("cmp", [[1, REGISTER], [2, is ? 0 : 1], [3, [[1, value]]]]);
}

/** Throws the packet away: NF_DROP into the register of the verdict. */
export function drop(): Attribute {
  return expression("immediate", [[1, 0], [2, [[2, [[1, 0]]]]]]);
}

/** The bytes of a batch; the kernel acknowledges its last message. Pure. */
export function batch(messages: readonly TablesMessage[]): Uint8Array<ArrayBuffer> {
  const begin = message(BATCH.BEGIN, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, []);
  const end = message(BATCH.END, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, []);
  const parts = messages.map(({ type, flags, attributes }, index) =>
    message(
      NFNL_SUBSYS_NFTABLES << 8 | type,
      flags | (index === messages.length - 1 ? NLM_F.ACK : 0),
      NFPROTO_INET,
      0,
      attributes,
    )
  );
  return join([begin, ...parts, end]);
}

/** A message with its headers: struct nlmsghdr, and struct nfgenmsg: family, version, big-endian resource. */
function message(
  type: number,
  flags: number,
  family: number,
  resource: number,
  attributes: readonly Attribute[],
): Uint8Array {
  const body = encodeAttributes(attributes);
  const bytes = new Uint8Array(nlmsghdr.size + 4 + body.byteLength);
  nlmsghdr.write(bytes, { len: bytes.byteLength, type, flags: flags | NLM_F.REQUEST });
  const view = new DataView(bytes.buffer);
  view.setUint8(nlmsghdr.size, family);
  view.setUint16(nlmsghdr.size + 2, resource);
  bytes.set(body, nlmsghdr.size + 4);
  return bytes;
}

/** A socket to nf_tables. What it owns ends with it. */
export class NfTables implements Disposable {
  readonly #socket: OwnedDescriptor;

  /** @throws {StasisError} `kernel-too-old` where the kernel has no netfilter */
  constructor() {
    const made = syscall(SYSCALLS.socket, ...NETFILTER_SOCKET);
    if (isErrno(made)) throw refusal(Number(-made));
    this.#socket = new OwnedDescriptor(Number(made));
    // A batch is one message.
    tryNumber(this.#socket.fd, SO.SNDBUFFORCE, LARGEST_BUFFER);
  }

  /** Has a batch carried out. @throws {StasisError} `kernel-too-old`, `no-privilege`, `syscall` */
  run(messages: readonly TablesMessage[]): void {
    const errno = this.try(messages);
    if (errno !== 0) throw refusal(errno);
  }

  /** The same. @returns 0, or the errno */
  try(messages: readonly TablesMessage[]): number {
    const bytes = batch(messages);
    const { fd } = this.#socket;
    const sent = syscall(SYSCALLS.sendto, fd, bytes, bytes.byteLength, 0, 0, 0);
    if (isErrno(sent)) return Number(-sent);
    const answer = new Uint8Array(1 << 16);
    for (;;) {
      const got = syscall(SYSCALLS.recvfrom, fd, answer, answer.byteLength, 0, 0, 0);
      if (got === -BigInt(Errno.EINTR)) continue;
      if (isErrno(got)) return Number(-got);
      for (const { type, payload } of parseNetlink(answer.subarray(0, Number(got)))) {
        if (type !== NLMSG.ERROR) continue;
        return -new DataView(payload.buffer, payload.byteOffset).getInt32(0, true);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

function refusal(errno: number): StasisError {
  const name = errnoName(BigInt(errno));
  const forbidden = errno === Errno.EPERM || errno === Errno.EACCES;
  return new StasisError(
    forbidden ? "no-privilege" : "kernel-too-old",
    `packets of connections cannot be held back here: nf_tables says ${name}`,
    {
      errno: name,
      hint: forbidden
        ? "it takes CAP_NET_ADMIN"
        : "it needs CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET (modprobe nf_tables)",
    },
  );
}
