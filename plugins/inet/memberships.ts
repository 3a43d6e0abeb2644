/**
 * Memberships of multicast groups. The kernel does not list those of a socket, but it tells of a group that one names
 * whether a socket has joined it, and how (MCAST_MSFILTER, `ip_mc_gsfget()` of `net/ipv4/igmp.c`). Which groups there
 * are on this machine is in /proc/net/igmp and igmp6.
 *
 * @module
 */
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { AF_INET, AF_INET6 } from "../../core/linux/net/inet_diag.ts";
import { interfaceName } from "../../core/linux/net/interfaces.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { encodeAddress } from "./address.ts";
import { SOL } from "./option_lists.ts";
import type { Option } from "./options.ts";

/** `include/uapi/linux/in.h`, the same of IPv6. */
const MCAST = { JOIN_GROUP: 42, JOIN_SOURCE_GROUP: 46, MSFILTER: 48 } as const;
const INCLUDE = 1;
/** The size of a struct sockaddr_storage, and where those of the following structures begin. */
const STORAGE = 128, STORAGE_AT = 8;
/** struct group_req, struct group_source_req. */
const GROUP_REQUEST = STORAGE_AT + STORAGE, SOURCE_REQUEST = GROUP_REQUEST + STORAGE;
/** struct group_filter: behind interface and group its mode, the number of sources, and these. */
const MODE_AT = GROUP_REQUEST, COUNT_AT = MODE_AT + 4, SOURCES_AT = COUNT_AT + 4;
/** As many sources as are asked for at first. */
const USUAL_SOURCES = 64;

/** A group that somebody on this machine has joined. */
export interface Group {
  readonly family: number;
  /** The number of the interface. */
  readonly index: number;
  readonly address: Uint8Array;
}

/** The groups of /proc/net/igmp: a line an interface, and below it one for each of its groups. Pure. */
export function parseIgmp(text: string): Group[] {
  const groups: Group[] = [];
  let index = 0;
  for (const line of text.split("\n")) {
    const device = /^(\d+)\t/.exec(line);
    if (device !== null) index = Number(device[1]);
    const group = /^\t+([0-9A-F]{8})\b/.exec(line);
    if (group === null) continue;
    // The address is printed as a number of this machine.
    const address = new Uint8Array(Uint32Array.of(parseInt(group[1] as string, 16)).buffer);
    groups.push({ family: AF_INET, index, address });
  }
  return groups;
}

/** The groups of /proc/net/igmp6: a line each. Pure. */
export function parseIgmp6(text: string): Group[] {
  return [...text.matchAll(/^(\d+)\s+\S+\s+([0-9a-f]{32})\b/gm)].map(([, index, hex]) => ({
    family: AF_INET6,
    index: Number(index),
    address: Uint8Array.fromHex(hex as string),
  }));
}

/** All groups of this network namespace. */
export function readGroups(): Group[] {
  const read = (name: string): string => {
    try {
      return Deno.readTextFileSync(`/proc/net/${name}`);
    } catch {
      // A kernel without IPv6, or without multicast.
      return "";
    }
  };
  return [...parseIgmp(read("igmp")), ...parseIgmp6(read("igmp6"))];
}

/**
 * The options by which a socket joins the groups again that it has joined.
 *
 * @param fd a duplicate of its descriptor
 * @param family its own: one of IPv6 may have joined groups of IPv4
 */
export function readMemberships(fd: number, family: number, groups: readonly Group[]): Option[] {
  return groups.filter((group) => group.family === AF_INET || family === AF_INET6)
    .flatMap((group) => membershipOf(fd, group));
}

/** Whether an option has the form in which {@link readMemberships} gives them. @param family the socket's */
export function isMembership(family: number, { level, name, value }: Option): boolean {
  if (level !== SOL.IP && (level !== SOL.IPV6 || family !== AF_INET6)) return false;
  if (name === MCAST.JOIN_GROUP) return value.byteLength === GROUP_REQUEST;
  if (name === MCAST.JOIN_SOURCE_GROUP) return value.byteLength === SOURCE_REQUEST;
  return name === MCAST.MSFILTER && value.byteLength >= SOURCES_AT;
}

/** A membership whose interface has another name by now. */
export interface MovedMembership {
  /** The number of the interface. */
  readonly index: number;
  /** Its name before. */
  readonly before: string;
  /** Its name now; undefined: there is none of that number. */
  readonly now: string | undefined;
}

/** Finds those among options of images. @param nameOf the name of an interface by its number */
export function movedMemberships(
  options: readonly Option[],
  nameOf: (index: number) => string | undefined,
): MovedMembership[] {
  return options.flatMap(({ name, value, interface: before }) => {
    const joins = name === MCAST.JOIN_GROUP || name === MCAST.JOIN_SOURCE_GROUP;
    if (!before || !joins || value.byteLength < GROUP_REQUEST) return [];
    const index = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
    const now = nameOf(index);
    return now === before ? [] : [{ index, before, now }];
  });
}

function membershipOf(fd: number, group: Group): Option[] {
  const { family } = group;
  const level = family === AF_INET ? SOL.IP : SOL.IPV6;
  let room = USUAL_SOURCES;
  for (;;) {
    const filter = new Uint8Array(SOURCES_AT + room * STORAGE);
    filter.set(groupRequest(group));
    const view = new DataView(filter.buffer);
    view.setUint32(COUNT_AT, room, true);
    const length = new Uint8Array(Uint32Array.of(filter.byteLength).buffer);
    const result = syscall(SYSCALLS.getsockopt, fd, level, MCAST.MSFILTER, filter, length);
    // It has not joined this one.
    if (isErrno(result)) return [];
    const joined = { interface: interfaceName(group.index) };
    const count = view.getUint32(COUNT_AT, true);
    if (count > room) {
      room = count;
      continue;
    }
    const sources = Array.from({ length: count }, (_, index) => {
      const at = SOURCES_AT + index * STORAGE;
      return filter.subarray(at, at + STORAGE);
    });
    if (view.getUint32(MODE_AT, true) === INCLUDE) {
      return sources.map((source) => {
        const value = new Uint8Array(SOURCE_REQUEST);
        value.set(groupRequest(group));
        value.set(source, GROUP_REQUEST);
        return { level, name: MCAST.JOIN_SOURCE_GROUP, value, ...joined };
      });
    }
    const join = { level, name: MCAST.JOIN_GROUP, value: groupRequest(group), ...joined };
    if (count === 0) return [join];
    const value = filter.slice(0, SOURCES_AT + count * STORAGE);
    return [join, { level, name: MCAST.MSFILTER, value }];
  }
}

/** A struct group_req. */
function groupRequest({ family, index, address }: Group): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(GROUP_REQUEST);
  new DataView(request.buffer).setUint32(0, index, true);
  request.set(encodeAddress({ family, port: 0, bytes: address, scope: 0 }), STORAGE_AT);
  return request;
}
