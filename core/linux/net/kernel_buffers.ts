/**
 * What lies in the queues of a socket, a list of `struct sk_buff` each, read out of the kernel's memory
 * (`include/linux/skbuff.h`). Who reads sees to it that nothing is taken out meanwhile; what comes is put at the end.
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import type { KernelMemory } from "../kernel_memory.ts";
import { KernelPages } from "../kernel_pages.ts";

/** A part of a page (skb_frag_t): its structure, how much, and from where. */
const FRAGMENT_SIZE = 16, FRAGMENT_LENGTH = 8, FRAGMENT_OFFSET = 12;
/** MAX_SKB_FRAGS at most, and more than a queue or a message has parts: what goes on so is none. */
const MOST_FRAGMENTS = 45, MANY = 100_000;
/** Set in the address of what is no page of memory (NET_IOV). */
const NO_PAGE = 1n;

/** A message, or a part of one. */
export interface KernelBuffer {
  /** All that is in it from its data on. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What is before that, from the header of the network on. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** How long each is of the datagrams that the kernel has joined in it; 0: it is one. */
  readonly segment: number;
  /** Where in it the headers of network and transport begin; less than 0: before it. */
  readonly network: number;
  readonly transport: number;
}

/** Reads structures of the kernel that must be there. */
export class KernelBuffers {
  readonly #memory: KernelMemory;
  #pages: KernelPages | undefined;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
  }

  /** The messages of a queue, oldest first. @param head of its `struct sk_buff_head` @throws {StasisError} `unsupported` */
  queue(head: bigint): KernelBuffer[] {
    return this.list(head).map((at) => this.buffer(at));
  }

  /** Where the messages of a queue are, oldest first. @param head of its `struct sk_buff_head` @throws {StasisError} `unsupported` */
  list(head: bigint): bigint[] {
    const found: bigint[] = [];
    for (let at = this.word(head); at !== head; at = this.field(at, "sk_buff", "next")) {
      if (at === 0n || found.length > MANY) throw unreadable();
      found.push(at);
    }
    return found;
  }

  /** The `struct sock` behind a descriptor of this process. @throws {StasisError} `unsupported` */
  socketOf(fd: number): bigint {
    const file = this.#memory.fileOf(fd);
    if (file === undefined) throw unreadable();
    return this.field(this.field(file, "file", "private_data"), "socket", "sk");
  }

  /** A field as eight bytes, of which it may be the first. @throws {StasisError} `unsupported` */
  field(address: bigint, struct: string, name: string): bigint {
    return this.word(address + this.#memory.types.offset(struct, name));
  }

  /** A field that is a number without a sign. @throws {StasisError} `unsupported` */
  number(address: bigint, struct: string, name: string, size: 1 | 2 | 4): number {
    return Number(BigInt.asUintN(size * 8, this.field(address, struct, name)));
  }

  /** Where a field lies. @throws {StasisError} `unsupported` */
  at(address: bigint, struct: string, name: string): bigint {
    return address + this.#memory.types.offset(struct, name);
  }

  /** @throws {StasisError} `unsupported` */
  word(address: bigint): bigint {
    const found = this.#memory.word(address);
    if (found === undefined) throw unreadable();
    return found;
  }

  /** @throws {StasisError} `unsupported` */
  bytes(address: bigint, length: number): Uint8Array<ArrayBuffer> {
    const found = this.#memory.bytes(address, length);
    if (found === undefined) throw unreadable();
    return found;
  }

  /** One message. @throws {StasisError} `unsupported` */
  buffer(at: bigint): KernelBuffer {
    const head = this.field(at, "sk_buff", "head");
    const data = this.field(at, "sk_buff", "data");
    const before = Number(data - head);
    const pieces: Uint8Array[] = [];
    this.#collect(at, pieces);
    const bytes = join(pieces);
    if (bytes.byteLength !== this.number(at, "sk_buff", "len", 4)) throw unreadable();
    const network = this.number(at, "sk_buff", "network_header", 2) - before;
    return {
      bytes,
      segment: this.number(this.#shared(at), "skb_shared_info", "gso_size", 2),
      header: network < 0 ? this.bytes(data + BigInt(network), -network) : new Uint8Array(0),
      network,
      transport: this.number(at, "sk_buff", "transport_header", 2) - before,
    };
  }

  /** Adds the pieces of a message: what follows its headers, parts of pages, and further buffers. */
  #collect(at: bigint, pieces: Uint8Array[]): void {
    if (pieces.length > MANY) throw unreadable();
    const inPieces = this.number(at, "sk_buff", "data_len", 4);
    const length = this.number(at, "sk_buff", "len", 4) - inPieces;
    if (length < 0) throw unreadable();
    pieces.push(this.bytes(this.field(at, "sk_buff", "data"), length));
    if (inPieces === 0) return;
    const shared = this.#shared(at);
    const count = this.number(shared, "skb_shared_info", "nr_frags", 1);
    if (count > MOST_FRAGMENTS) throw unreadable();
    const fragments = this.at(shared, "skb_shared_info", "frags");
    for (let index = 0; index < count; index++) {
      const fragment = this.bytes(fragments + BigInt(index * FRAGMENT_SIZE), FRAGMENT_SIZE);
      const view = new DataView(fragment.buffer, fragment.byteOffset);
      const page = view.getBigUint64(0, true);
      if ((page & NO_PAGE) !== 0n) throw unreadable();
      const start = this.#page(page) + BigInt(view.getUint32(FRAGMENT_OFFSET, true));
      pieces.push(this.bytes(start, view.getUint32(FRAGMENT_LENGTH, true)));
    }
    let further = this.field(shared, "skb_shared_info", "frag_list");
    for (; further !== 0n; further = this.field(further, "sk_buff", "next")) {
      this.#collect(further, pieces);
    }
  }

  /** Behind the room for data, of which the end is told as a distance (skb_end_pointer() of 64-bit kernels). */
  #shared(at: bigint): bigint {
    return this.field(at, "sk_buff", "head") + BigInt(this.number(at, "sk_buff", "end", 4));
  }

  #page(structure: bigint): bigint {
    const pages = this.#pages ??= KernelPages.find(this.#memory);
    if (pages === undefined) throw unreadable();
    return pages.addressOf(structure);
  }
}

/** What is said where something is not as expected. */
export function unreadable(): StasisError {
  return new StasisError("unsupported", "the kernel's memory does not tell what is in a socket");
}

/** Puts pieces together. */
export function join(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let filled = 0;
  for (const piece of pieces) {
    bytes.set(piece, filled);
    filled += piece.byteLength;
  }
  return bytes;
}
