/**
 * What a socket has that no system call tells, read out of the kernel's memory (`core/linux/kernel_memory.ts`): the error
 * that waits in it, and a message that its program has begun and not sent.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { AF_INET, AF_INET6, type InetEnd, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { type Address, isAny, needsScope } from "./address.ts";
import {
  join,
  type KernelBuffer,
  KernelBuffers,
  unreadable,
} from "../../core/linux/net/kernel_buffers.ts";
import { HEADER } from "./packet.ts";
import { SOCK, type SocketKind } from "./protocol.ts";

/** A message that was begun and not sent. */
export interface CorkedMessage {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly to: Address;
  /** The address that it is sent from. */
  readonly source: Uint8Array<ArrayBuffer>;
  readonly hops?: number;
  readonly trafficClass?: number;
  readonly segment?: number;
  readonly whole?: boolean;
}

/** A connection that waits to be accepted. */
export interface UnacceptedConnection {
  /** Its own end, and that of who has connected. */
  readonly source: InetEnd;
  readonly target: InetEnd;
  /** One of TCP. CLOSE: it has been reset or given up. */
  readonly state: number;
  /** The errno that waits in it; 0: none. */
  readonly error: number;
  /** Whether the other end's end of data has come. */
  readonly end: boolean;
  /** What was sent by it; undefined where that is not known, as with urgent data. */
  readonly received: Uint8Array<ArrayBuffer> | undefined;
}

/** Where urgent data is in what a connection has received. */
export interface UrgentMark {
  /** Behind how many bytes that are not read. */
  readonly offset: number;
  readonly byte: number;
  /** Whether the program has taken it: the mark is there still, at which readers stop. */
  readonly isRead: boolean;
}

/** What a connection with urgent data has received. */
export interface UrgentStream {
  /** All that is not read, the urgent byte as well. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The number of the next byte that is expected. */
  readonly next: number;
  readonly mark: UrgentMark;
}

/** TCP_URG_VALID, TCP_URG_READ (`include/net/tcp.h`). */
const URGENT = { VALID: 0x100, READ: 0x400 } as const;
/** Of `enum sock_flags`: the other end's end of data has come. */
const SOCK_DONE = 1;
/** Of a device: IFF_LOOPBACK. */
const LOOPBACK = 8;
/** More connections than wait at a socket. */
const MOST_WAITING = 100_000;
const LOCALHOST = Uint8Array.of(127, 0, 0, 1);
/** IPCORK_OPT (`include/net/inet_sock.h`). */
const HAS_OPTIONS = 1;

/** Reads sockets of which nobody takes anything meanwhile. */
export class KernelSockets implements Disposable {
  readonly #memory: KernelMemory;
  readonly #buffers: KernelBuffers;

  private constructor(memory: KernelMemory) {
    this.#memory = memory;
    this.#buffers = new KernelBuffers(memory);
  }

  /** @returns undefined where this kernel or this user cannot have it */
  static open(): KernelSockets | undefined {
    const memory = KernelMemory.openHere();
    return memory && new KernelSockets(memory);
  }

  /**
   * What a TCP connection that is over has: the errno that its program has not been told of (0: none), whether the other
   * end's end of data has come, and how many bytes were received and not read.
   *
   * @param fd a descriptor of this process
   * @throws {StasisError} `unsupported`
   */
  endOf(fd: number): { readonly error: number; readonly end: boolean; readonly waiting: number } {
    const buffers = this.#buffers;
    const socket = this.#buffers.socketOf(fd);
    const { error, end } = this.#ending(socket);
    const received = buffers.number(socket, "tcp_sock", "rcv_nxt", 4);
    const read = buffers.number(socket, "tcp_sock", "copied_seq", 4);
    return { error, end, waiting: Math.max(0, (received - read | 0) - Number(end)) };
  }

  /**
   * The connections that wait to be accepted, in their order: those as well that have been reset, which nobody lists.
   *
   * @param fd of the listening socket
   * @throws {StasisError} `unsupported`
   */
  acceptQueue(fd: number): UnacceptedConnection[] {
    const buffers = this.#buffers;
    const queue = buffers.at(buffers.socketOf(fd), "inet_connection_sock", "icsk_accept_queue");
    const found: UnacceptedConnection[] = [];
    let request = buffers.field(queue, "request_sock_queue", "rskq_accept_head");
    for (; request !== 0n; request = buffers.field(request, "request_sock", "dl_next")) {
      if (found.length > MOST_WAITING) throw unreadable();
      found.push(this.#unaccepted(buffers.field(request, "request_sock", "sk")));
    }
    return found;
  }

  #unaccepted(socket: bigint): UnacceptedConnection {
    const buffers = this.#buffers;
    const common = (name: string, length: number): Uint8Array =>
      buffers.bytes(buffers.at(socket, "sock_common", name), length);
    const isSix = buffers.number(socket, "sock_common", "skc_family", 2) === AF_INET6;
    return {
      source: {
        address: isSix ? common("skc_v6_rcv_saddr", 16) : common("skc_rcv_saddr", 4),
        port: portAt(buffers.bytes(buffers.at(socket, "inet_sock", "inet_sport"), 2)),
      },
      target: {
        address: isSix ? common("skc_v6_daddr", 16) : common("skc_daddr", 4),
        port: portAt(common("skc_dport", 2)),
      },
      state: buffers.number(socket, "sock_common", "skc_state", 1),
      ...this.#ending(socket),
      received: this.#hasMark(socket) ? undefined : this.#stream(socket),
    };
  }

  /** The errno that waits in a connection, and whether the other end's end of data has come. */
  #ending(socket: bigint): { readonly error: number; readonly end: boolean } {
    const flags = this.#buffers.number(socket, "sock_common", "skc_flags", 4);
    const error = this.#buffers.number(socket, "sock", "sk_err", 4);
    return { error, end: (flags & 1 << SOCK_DONE) !== 0 };
  }

  /**
   * Urgent data that a connection has received, with all that its program has not read; undefined where there is none, and
   * where the byte itself has not come.
   *
   * @throws {StasisError} `unsupported`
   */
  urgent(fd: number): UrgentStream | undefined {
    const buffers = this.#buffers;
    const socket = buffers.socketOf(fd);
    const data = buffers.number(socket, "tcp_sock", "urg_data", 2);
    const first = buffers.number(socket, "tcp_sock", "copied_seq", 4);
    const offset = (buffers.number(socket, "tcp_sock", "urg_seq", 4) - first) | 0;
    const isRead = (data & URGENT.READ) !== 0;
    if (!isRead && (data & URGENT.VALID) === 0 || offset < 0) return undefined;
    const next = buffers.number(socket, "tcp_sock", "rcv_nxt", 4);
    const bytes = this.#stream(socket);
    const byte = bytes?.[offset];
    if (bytes === undefined || byte === undefined) throw unreadable();
    return { bytes, next, mark: { offset, byte, isRead } };
  }

  /**
   * The number behind urgent data that a connection has sent and that is not acknowledged; undefined where there is none
   * (tcp_urg_mode() of `net/ipv4/tcp_output.c`).
   *
   * @throws {StasisError} `unsupported`
   */
  urgentSent(fd: number): number | undefined {
    const socket = this.#buffers.socketOf(fd);
    const behind = this.#buffers.number(socket, "tcp_sock", "snd_up", 4);
    const first = this.#buffers.number(socket, "tcp_sock", "snd_una", 4);
    return (behind - first | 0) > 0 ? behind : undefined;
  }

  #hasMark(socket: bigint): boolean {
    return this.#buffers.number(socket, "tcp_sock", "urg_data", 2) !== 0;
  }

  /** All that a connection has received and nobody has read. */
  #stream(socket: bigint): Uint8Array<ArrayBuffer> | undefined {
    const buffers = this.#buffers;
    const first = buffers.number(socket, "tcp_sock", "copied_seq", 4);
    const end = buffers.number(socket, "tcp_sock", "rcv_nxt", 4);
    // The other end's end of data has a number like a byte.
    const length = (end - first | 0) - Number(this.#ending(socket).end);
    if (length < 0) throw unreadable();
    const bytes = new Uint8Array(length);
    let filled = 0;
    for (const at of buffers.list(buffers.at(socket, "sock", "sk_receive_queue"))) {
      const sequence = buffers.number(buffers.at(at, "sk_buff", "cb"), "tcp_skb_cb", "seq", 4);
      // It may begin with some that is there already.
      const known = (first + filled - sequence) | 0;
      const piece = buffers.buffer(at).bytes;
      if (known < 0 || filled + piece.byteLength - known > bytes.byteLength) return undefined;
      if (known >= piece.byteLength) continue;
      bytes.set(piece.subarray(known), filled);
      filled += piece.byteLength - known;
    }
    return filled === bytes.byteLength ? bytes : undefined;
  }

  /** What waits in a raw or ICMP socket. @throws {StasisError} `unsupported` */
  received(fd: number): KernelBuffer[] {
    return this.#buffers.queue(
      this.#buffers.at(this.#buffers.socketOf(fd), "sock", "sk_receive_queue"),
    );
  }

  /** What waits in a UDP or UDP-Lite socket: who reads takes all of a queue at once. @throws {StasisError} `unsupported` */
  datagrams(fd: number): KernelBuffer[] {
    const older = this.#buffers.at(this.#buffers.socketOf(fd), "udp_sock", "reader_queue");
    return [...this.#buffers.queue(older), ...this.received(fd)];
  }

  /**
   * The message that a socket of datagrams or a raw one has begun and not sent.
   *
   * @param peer what it is connected to
   * @returns undefined where there is none
   * @throws {StasisError} `unsupported` where it cannot be told, with the reason
   */
  corked(fd: number, kind: SocketKind, peer: Address | undefined): CorkedMessage | undefined {
    const buffers = this.#buffers;
    const socket = this.#buffers.socketOf(fd);
    const parts = buffers.queue(buffers.at(socket, "sock", "sk_write_queue"));
    if (parts.length === 0) return undefined;
    const isRaw = kind.type === SOCK.RAW;
    const family = isRaw ? kind.family : buffers.number(socket, "udp_sock", "pending", 4);
    const cork = buffers.at(socket, "inet_sock", "cork");
    const data = join(parts.map(({ bytes, transport }, index) =>
      // The first one begins with room for the header of UDP.
      bytes.subarray(transport + (index === 0 && !isRaw ? HEADER.UDP : 0))
    ));
    const isUdp = !isRaw && kind.protocol === IPPROTO.UDP;
    const segment = isUdp ? buffers.number(cork, "inet_cork", "gso_size", 2) : undefined;
    if (!isRaw) {
      const size = buffers.number(socket, "udp_sock", "len", 2);
      if (size !== data.byteLength + HEADER.UDP) throw unreadable();
    }
    if (family === AF_INET) return { data, ...this.#ofFour(socket, cork, isRaw, peer), segment };
    if (family === AF_INET6) return { data, ...this.#ofSix(socket, cork), segment };
    throw unreadable();
  }

  #ofFour(
    socket: bigint,
    cork: bigint,
    isRaw: boolean,
    peer: Address | undefined,
  ): Omit<CorkedMessage, "data"> {
    const buffers = this.#buffers;
    const hasOptions = (buffers.number(cork, "inet_cork", "flags", 4) & HAS_OPTIONS) !== 0;
    if (hasOptions && buffers.field(socket, "inet_sock", "inet_opt") === 0n) throw ownOptions();
    const hops = buffers.number(cork, "inet_cork", "ttl", 1);
    // -1: that of the socket.
    const tos = buffers.number(cork, "inet_cork", "tos", 2);
    const beside = {
      hops: hops === 0 ? undefined : hops,
      trafficClass: tos > 0xff ? undefined : tos,
    };
    if (isRaw) return { ...beside, ...this.#ofRaw(cork, peer) };
    const flow = buffers.at(cork, "inet_cork_full", "fl");
    const bytes = buffers.bytes(buffers.at(flow, "flowi4", "daddr"), 4);
    const source = buffers.bytes(buffers.at(flow, "flowi4", "saddr"), 4);
    const port = portAt(buffers.bytes(buffers.at(flow, "flowi4", "uli"), 2));
    return { ...beside, to: { family: AF_INET, port, bytes, scope: 0 }, source };
  }

  /** A raw socket of IPv4 keeps the route alone; where the packet goes is said again when it is sent. */
  #ofRaw(cork: bigint, peer: Address | undefined): Pick<CorkedMessage, "to" | "source"> {
    const source = new Uint8Array(4);
    if (peer !== undefined) return { to: { ...peer, port: 0 }, source };
    const route = this.#buffers.field(cork, "inet_cork", "dst");
    const device = this.#buffers.field(route, "dst_entry", "dev");
    if ((this.#buffers.number(device, "net_device", "flags", 4) & LOOPBACK) === 0) {
      throw new StasisError(
        "unsupported",
        "of a raw socket that is not connected, and where to the kernel does not tell",
      );
    }
    return { to: { family: AF_INET, port: 0, bytes: LOCALHOST, scope: 0 }, source };
  }

  #ofSix(socket: bigint, cork: bigint): Omit<CorkedMessage, "data"> {
    const buffers = this.#buffers;
    const six = buffers.field(socket, "inet_sock", "pinet6");
    const own = buffers.at(six, "ipv6_pinfo", "cork");
    const hasOptions = buffers.field(own, "inet6_cork", "opt") !== 0n;
    if (hasOptions && buffers.field(six, "ipv6_pinfo", "opt") === 0n) throw ownOptions();
    const flow = buffers.at(cork, "inet_cork_full", "fl");
    const bytes = buffers.bytes(buffers.at(flow, "flowi6", "daddr"), 16);
    const source = buffers.bytes(buffers.at(flow, "flowi6", "saddr"), 16);
    const scope = needsScope(bytes) ? buffers.number(flow, "flowi_common", "flowic_oif", 4) : 0;
    return {
      to: {
        family: AF_INET6,
        port: portAt(buffers.bytes(buffers.at(flow, "flowi6", "uli"), 2)),
        bytes,
        scope,
      },
      // That of a network of its own needs an interface, which the other one names.
      source: needsScope(source) && !isAny(source) ? new Uint8Array(16) : source,
      hops: buffers.number(own, "inet6_cork", "hop_limit", 1),
      trafficClass: buffers.number(own, "inet6_cork", "tclass", 1),
      whole: (buffers.number(own, "inet6_cork", "dontfrag", 1) & 1) !== 0,
    };
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
  }
}

/** One that is opened where it is needed. */
export class SharedKernel implements Disposable {
  #kernel: KernelSockets | null | undefined;

  /** @returns undefined where this kernel or this user cannot have it */
  open(): KernelSockets | undefined {
    if (this.#kernel === undefined) this.#kernel = KernelSockets.open() ?? null;
    return this.#kernel ?? undefined;
  }

  [Symbol.dispose](): void {
    this.#kernel?.[Symbol.dispose]();
  }
}

function ownOptions(): StasisError {
  return new StasisError("unsupported", "with options of its own");
}

function portAt(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
}
