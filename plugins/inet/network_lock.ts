/**
 * Holding back the packets of connections, so that no other end sees one closed or reset while nobody has it here, and
 * those that would make new ones: a table of nf_tables, of one checkpoint, with the connections in sets.
 *
 * @module
 */
import { Errno } from "../../core/linux/errno.ts";
import { IPPROTO } from "../../core/linux/net/inet_diag.ts";
import {
  batch,
  deleteTable,
  drop,
  KEY,
  META,
  NETFILTER_SOCKET,
  newChain,
  newElements,
  newRule,
  newSet,
  newTable,
  NfTables,
  PAYLOAD,
  type TablesMessage,
  whereBits,
  whereInSet,
  whereMeta,
} from "../../core/linux/net/nf_tables.ts";
import { type ListedCall, Result } from "../../core/remote/undo.ts";
import { isAny, isMapped } from "./address.ts";

/** Before all others: what is held back nobody else is to count. */
const PRIORITY = -500;
/** The mark of packets of this tool's own, which pass (SO_MARK). */
export const OWN_MARK = 0x53544153;
/** NFPROTO_IPV4, NFPROTO_IPV6, as a byte. */
const NFPROTO = { FOUR: 2, SIX: 10 } as const;
const TCP = Uint8Array.of(IPPROTO.TCP);

/** A connection, as this machine sees it. */
export interface Connection {
  readonly own: { readonly bytes: Uint8Array; readonly port: number };
  readonly peer: { readonly bytes: Uint8Array; readonly port: number };
}

/** A name for a table that no other has. */
export function tableName(): string {
  return `stasis-${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
}

/** Whether a table can have been named by {@link tableName}: no other is ever taken away. */
export function isTableName(name: string): boolean {
  return /^stasis-[0-9a-f]{12}$/.test(name);
}

/** The families of packets: the number, where both addresses begin in the header, and what keys of a set are. */
const FAMILIES = [
  { name: "ipv4", family: NFPROTO.FOUR, size: 4, at: 12, address: KEY.IPV4 },
  { name: "ipv6", family: NFPROTO.SIX, size: 16, at: 8, address: KEY.IPV6 },
] as const;

/**
 * The messages that make a table which holds back the packets of some connections: of each family and direction a set
 * of both ends, and one rule, so that packets of others take the time of one look, however many connections there are.
 * Pure.
 *
 * @param ends whether it ends with the socket that makes it, whatever ends that; otherwise it stays until it is opened
 */
export function lockMessages(
  table: string,
  connections: readonly Connection[],
  ends: boolean,
): TablesMessage[] {
  const messages = [
    newTable(table, ends),
    newChain(table, "input", PRIORITY),
    newChain(table, "output", PRIORITY),
  ];
  let id = 0;
  for (const { name, family, size, at, address } of FAMILIES) {
    const own = connections.filter(({ own }) => onWire(own.bytes).byteLength === size);
    if (own.length === 0) continue;
    const header = [
      { base: PAYLOAD.NETWORK, offset: at, size },
      { base: PAYLOAD.NETWORK, offset: at + size, size },
      { base: PAYLOAD.TRANSPORT, offset: 0, size: KEY.PORT.size },
      { base: PAYLOAD.TRANSPORT, offset: KEY.PORT.size, size: KEY.PORT.size },
    ];
    for (const chain of ["input", "output"] as const) {
      const set = `${chain}-${name}`;
      const keys = own.map(({ own, peer }) =>
        chain === "input" ? keyOf(peer, own) : keyOf(own, peer)
      );
      messages.push(
        newSet(table, set, ++id, [address, address, KEY.PORT, KEY.PORT]),
        ...newElements(table, set, keys),
        newRule(table, chain, [
          ...whereMeta(META.L4PROTO, TCP),
          ...whereMeta(META.NFPROTO, Uint8Array.of(family)),
          ...whereInSet(set, header),
          ...whereMeta(META.MARK, new Uint8Array(Uint32Array.of(OWN_MARK).buffer), false),
          drop(),
        ]),
      );
    }
  }
  return messages;
}

/** What a socket listens at. */
export interface ListenAddress {
  /** Of IPv4 or IPv6; all zero: any of either, or of IPv4 alone. */
  readonly bytes: Uint8Array;
  readonly port: number;
}

/** Where the flags of TCP are in its header, and those that tell the packet that asks for a connection: SYN, not ACK. */
const TCP_FLAGS = { base: PAYLOAD.TRANSPORT, offset: 13, size: 1 } as const;
const SYN = 0x02, ACK = 0x10;

/**
 * The messages that make a table which throws away what asks for new connections: who connects asks again after a
 * second. The table ends with the socket that makes it. Pure.
 */
export function closedMessages(
  table: string,
  listeners: readonly ListenAddress[],
): TablesMessage[] {
  const messages = [newTable(table, true), newChain(table, "input", PRIORITY)];
  const port = { base: PAYLOAD.TRANSPORT, offset: KEY.PORT.size, size: KEY.PORT.size };
  let id = 0;
  for (const { name, family, size, at, address } of FAMILIES) {
    const isFamily = ({ bytes }: ListenAddress): boolean => onWire(bytes).byteLength === size;
    // One that takes any address of IPv6 takes those of IPv4 as well, as a rule.
    const any = listeners.filter((one) =>
      isAny(onWire(one.bytes)) && (isFamily(one) || family === NFPROTO.FOUR)
    );
    const some = listeners.filter((one) => !isAny(onWire(one.bytes)) && isFamily(one));
    const target = { base: PAYLOAD.NETWORK, offset: at + size, size };
    for (
      const { title, own, types, parts } of [
        { title: "any", own: any, types: [KEY.PORT], parts: [port] },
        { title: "some", own: some, types: [address, KEY.PORT], parts: [target, port] },
      ]
    ) {
      if (own.length === 0) continue;
      const set = `${title}-${name}`;
      const keys = own.map(({ bytes, port }) =>
        types.length === 1 ? [portBytes(port)] : [onWire(bytes), portBytes(port)]
      );
      messages.push(
        newSet(table, set, ++id, types),
        ...newElements(table, set, keys),
        newRule(table, "input", [
          ...whereMeta(META.L4PROTO, TCP),
          ...whereMeta(META.NFPROTO, Uint8Array.of(family)),
          ...whereBits(TCP_FLAGS, Uint8Array.of(SYN | ACK), Uint8Array.of(SYN)),
          ...whereInSet(set, parts),
          drop(),
        ]),
      );
    }
  }
  return messages;
}

/** Both ends as they stand in a packet: addresses, and ports. */
function keyOf(from: Connection["own"], to: Connection["own"]): Uint8Array[] {
  return [onWire(from.bytes), onWire(to.bytes), portBytes(from.port), portBytes(to.port)];
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >>> 8, port);
}

/** An address as it stands in packets. */
export function onWire(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** A lock that is in force until it is opened. */
export class NetworkLock {
  readonly #tables: NfTables;
  #isOpen = false;

  /**
   * @param table its name
   * @param messages what makes it: {@link lockMessages}, {@link closedMessages}
   * @throws {StasisError} `kernel-too-old`, `no-privilege`, `syscall`
   */
  constructor(readonly table: string, messages: readonly TablesMessage[]) {
    this.#tables = new NfTables();
    try {
      this.#tables.run(messages);
    } catch (error) {
      this.#tables[Symbol.dispose]();
      throw error;
    }
  }

  /** Lets the packets pass again. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#tables.try([deleteTable(this.table)]);
    this.leave();
  }

  /** Leaves it in force, unless it ends with this process. */
  leave(): void {
    this.#tables[Symbol.dispose]();
  }
}

/** Opens a lock by its name. @returns whether it was there */
export function openLock(table: string): boolean {
  using tables = new NfTables();
  return tables.try([deleteTable(table)]) !== Errno.ENOENT;
}

/** The calls by which somebody else opens a lock. */
export function openingCalls(table: string): ListedCall[] {
  const bytes = batch([deleteTable(table)]);
  return [
    { name: "socket", args: NETFILTER_SOCKET.map(BigInt) },
    { name: "sendto", args: [new Result(0), bytes, BigInt(bytes.byteLength), 0n, 0n, 0n] },
    { name: "close", args: [new Result(0)] },
  ];
}
