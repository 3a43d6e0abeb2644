/**
 * Addresses of netlink sockets, struct sockaddr_nl, and sets of groups. Pure.
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";
import { AF_NETLINK } from "../../core/linux/net/netlink.ts";

const WORD = 32;

/** struct sockaddr_nl. */
export const sockaddrNl = defineStruct("sockaddr_nl", 12, {
  family: [0, "u16"],
  /** nl_pid. */
  portid: [4, "u32"],
  /** A bit for each of the first 32, from 1 on. */
  groups: [8, "u32"],
});

/** Makes one. @param group a number from 1 to 32; 0: none */
export function encodeAddress(portid: number, group = 0): Uint8Array {
  const groups = group === 0 ? 0 : 1 << (group - 1) >>> 0;
  return sockaddrNl.make({ family: AF_NETLINK, portid, groups });
}

/** The number of the group that an address is of; 0: of none. */
export function groupOf({ groups }: { readonly groups: number }): number {
  return WORD - Math.clz32(groups);
}

/** The numbers of the groups of a set: words, a bit for each from 1 on. */
export function groupNumbers(words: readonly number[]): number[] {
  return words.flatMap((word, index) =>
    Array.from({ length: WORD }, (_, bit) => bit)
      .filter((bit) => (word >>> bit & 1) !== 0)
      .map((bit) => index * WORD + bit + 1)
  );
}

/** Such a set as the images have it: without empty words at its end. */
export function trimGroups(words: readonly number[]): number[] {
  return words.slice(0, words.findLastIndex((word) => word !== 0) + 1);
}
