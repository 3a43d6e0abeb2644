/**
 * The raw and ICMP sockets of this network namespace: `/proc/net/raw`, `raw6`, `icmp` and `icmp6` (`raw_sock_seq_show()`
 * of `net/ipv4/raw.c`, `__ip6_dgram_sock_seq_show()` of `net/ipv6/datagram.c`). They tell what a raw socket is connected to,
 * which getpeername(2) does not where no port was said.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "../../core/linux/net/inet_diag.ts";

/** One of them. */
export interface RawSocket {
  readonly ino: number;
  readonly family: number;
  /** Whether it is a raw one. */
  readonly isRaw: boolean;
  /** Of a raw one its protocol, of one of ICMP its identifier. */
  readonly number: number;
  readonly own: Uint8Array;
  readonly peer: Uint8Array;
}

const FILES: readonly (readonly [name: string, family: number, isRaw: boolean])[] = [
  ["raw", AF_INET, true],
  ["raw6", AF_INET6, true],
  ["icmp", AF_INET, false],
  ["icmp6", AF_INET6, false],
];
/** Address and port of both ends, and behind them, among others, the inode. */
const LINE =
  /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):[0-9A-F]{4} \S+ \S+ \S+ \S+\s+\d+\s+\d+ (\d+) /;

/** Reads all of them. */
export function readRawSockets(): RawSocket[] {
  return FILES.flatMap(([name, family, isRaw]) => {
    try {
      return parseRawSockets(Deno.readTextFileSync(`/proc/net/${name}`), family, isRaw);
    } catch (error) {
      // A kernel without IPv6.
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

/** What such a file says. Pure. */
export function parseRawSockets(text: string, family: number, isRaw: boolean): RawSocket[] {
  return text.split("\n").flatMap((line) => {
    const [, own, number, peer, ino] = LINE.exec(line) ?? [];
    if (own === undefined || number === undefined || peer === undefined) return [];
    return [{
      ino: Number(ino),
      family,
      isRaw,
      number: parseInt(number, 16),
      own: parseAddress(own),
      peer: parseAddress(peer),
    }];
  });
}

/** An address as words of this machine. */
function parseAddress(hex: string): Uint8Array {
  const words = hex.match(/.{8}/g) ?? [];
  return new Uint8Array(Uint32Array.from(words, (word) => parseInt(word, 16)).buffer);
}
