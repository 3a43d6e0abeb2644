/**
 * The keys by which a TCP socket signs what it sends to certain addresses (TCP_MD5SIG, RFC 2385), as BGP has it:
 * sock_diag(7) tells them to who has CAP_NET_ADMIN, of sockets that are bound or connected, and setsockopt(2) takes them.
 * Pure.
 *
 * @module
 */
import { AF_INET } from "../../core/linux/net/inet_diag.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import type { Option } from "./options.ts";

/** TCP_MD5SIG_MAXKEYLEN (`include/uapi/linux/tcp.h`). */
const MOST_KEY = 80;
/** struct tcp_diag_md5sig: an address at 4, a key at 20. */
const told = defineStruct("tcp_diag_md5sig", 100, {
  family: [0, "u8"],
  prefix: [1, "u8"],
  length: [2, "u16"],
});
const TOLD_ADDRESS = 4, TOLD_KEY = 20;
/** struct tcp_md5sig: a struct sockaddr_storage, and a key at 136. */
const taken = defineStruct("tcp_md5sig", 216, {
  family: [0, "u16"],
  flags: [128, "u8"],
  prefix: [129, "u8"],
  length: [130, "u16"],
});
const TAKEN_ADDRESS = 4, TAKEN_ADDRESS_6 = 8, TAKEN_KEY = 136;
/** TCP_MD5SIG_FLAG_PREFIX. */
const HAS_PREFIX = 1;
/** How many bytes the value of TCP_MD5SIG_EXT has. */
export const MD5_KEY_SIZE: number = taken.size;

/**
 * The options that give a socket its keys.
 *
 * @param family the socket's: one of IPv6 has keys for addresses of IPv4 as mapped ones
 * @param keys what INET_DIAG_MD5SIG says
 */
export function md5Options(family: number, keys: Uint8Array): Option[] {
  const count = Math.floor(keys.byteLength / told.size);
  return Array.from({ length: count }, (_, index) => {
    const one = keys.subarray(index * told.size, (index + 1) * told.size);
    const { family: its, prefix, length } = told.read(one);
    const value = new Uint8Array(taken.size);
    taken.write(value, { family, flags: HAS_PREFIX, prefix, length });
    const address = one.subarray(TOLD_ADDRESS, TOLD_ADDRESS + (its === AF_INET ? 4 : 16));
    if (family === AF_INET) value.set(address, TAKEN_ADDRESS);
    else if (its !== AF_INET) value.set(address, TAKEN_ADDRESS_6);
    else value.set([0xff, 0xff, ...address], TAKEN_ADDRESS_6 + 10);
    value.set(one.subarray(TOLD_KEY, TOLD_KEY + Math.min(length, MOST_KEY)), TAKEN_KEY);
    return { level: SOL.TCP, name: TCP_OPTION.MD5SIG_EXT, value };
  });
}
