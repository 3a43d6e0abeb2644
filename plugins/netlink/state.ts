/**
 * What a netlink socket has, read through a duplicate of its descriptor while its tasks stand still.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { cookieOf, type Owner, readOwner } from "../../core/checkpoint/socket_belonging.ts";
import { filterProblem, readFilter } from "../../core/checkpoint/socket_filter.ts";
import {
  decodeOptions,
  type MoreOption,
  OPTION_SIZES,
  type SocketOptions,
} from "../../core/checkpoint/socket_options.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { OptionReader, POLL, pollNow, SO } from "../../core/linux/net/socket_options.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { groupOf, sockaddrNl } from "./address.ts";
import { FLAGS, NETLINK, SOL_NETLINK } from "./protocol.ts";

/** What is read of a socket. */
export interface NetlinkState {
  /** Why it cannot be saved: "has messages waiting". */
  readonly problem?: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly passing?: boolean;
  /** One of TYPES. */
  readonly type: number;
  readonly protocol: number;
  /** Its address; 0: it has none. */
  readonly portid: number;
  /** The groups that it is in: words, a bit for each from 1 on. */
  readonly groups: readonly number[];
  /** Whom it is connected to; both 0: nobody, or the kernel, which is the same. */
  readonly peer: { readonly portid: number; readonly group: number };
  readonly options: SocketOptions;
  /** Options of SOL_NETLINK that are on. */
  readonly more: readonly MoreOption[];
  readonly filter: readonly bigint[];
  readonly owner: Owner;
}

const LATER = { hint: "try again when the program has received it", passing: true } as const;
/** Room for 1,024 groups; no protocol has as many. */
const GROUPS_ROOM = 128;

const SOCKET_SIZES = new Map<number, number>([
  ...OPTION_SIZES,
  [SO.TYPE, 4],
  [SO.PROTOCOL, 4],
  [SO.NETNS_COOKIE, 8],
]);
const NETLINK_SIZES = new Map<number, number>([
  ...FLAGS.map((name) => [name, 4] as const),
  [NETLINK.LIST_MEMBERSHIPS, GROUPS_ROOM],
]);

let readers: { readonly socket: OptionReader; readonly netlink: OptionReader } | undefined;

/**
 * Reads a socket.
 *
 * @param fd a duplicate of its descriptor
 * @param isListing whether the kernel is giving it a list
 * @param cookie SO_NETNS_COOKIE of a socket of this process; undefined where the kernel has none
 * @param keeping tells the name of a protocol for whose socket of an address the kernel keeps something
 * @throws {StasisError} `syscall`
 */
export function readNetlink(
  fd: number,
  isListing: boolean,
  cookie: bigint | undefined,
  keeping: (protocol: number, portid: number) => string | undefined,
): NetlinkState {
  const { socket, netlink } = readers ??= {
    socket: new OptionReader(SOCKET_SIZES),
    netlink: new OptionReader(NETLINK_SIZES, SOL_NETLINK),
  };
  socket.read(fd);
  netlink.read(fd);
  const protocol = socket.number(SO.PROTOCOL) ?? 0;
  const groups = netlink.bytes(NETLINK.LIST_MEMBERSHIPS) ?? new Uint8Array();
  const peer = addressOf(fd, "getpeername");
  const { portid } = addressOf(fd, "getsockname");
  return {
    ...problemOf(fd, keeping(protocol, portid), isListing, socket, cookie),
    type: socket.number(SO.TYPE) ?? 0,
    protocol,
    portid,
    groups: [...new Uint32Array(groups.buffer, 0, groups.byteLength >>> 2)],
    peer: { portid: peer.portid, group: groupOf(peer) },
    options: decodeOptions(socket),
    more: FLAGS.filter((name) => (netlink.number(name) ?? 0) !== 0).map((name) => ({
      name,
      value: 1,
    })),
    filter: readFilter(fd, socket),
    owner: readOwner(fd),
  };
}

function problemOf(
  fd: number,
  keeping: string | undefined,
  isListing: boolean,
  options: OptionReader,
  cookie: bigint | undefined,
): Pick<NetlinkState, "problem" | "hint" | "passing"> {
  const own = cookieOf(options);
  if (own !== undefined && cookie !== undefined && own !== cookie) {
    return { problem: "is of another network namespace", hint: "close it before the checkpoint" };
  }
  if (keeping !== undefined) {
    return {
      problem: `is of ${keeping}, whose kernel side keeps more for it than it tells`,
      hint: "close it before the checkpoint",
    };
  }
  const filter = filterProblem(options);
  if (filter !== undefined) {
    return { problem: filter, hint: "take it away before the checkpoint" };
  }
  const ready = pollNow(fd);
  if ((ready & POLL.ERR) !== 0) {
    return { problem: "has an error waiting that the program has not seen yet", ...LATER };
  }
  if ((ready & POLL.IN) !== 0) {
    return { problem: "has messages waiting, which nobody could send again", ...LATER };
  }
  if (isListing) {
    return { problem: "is in the middle of a list that the kernel gives it", ...LATER };
  }
  return {};
}

function addressOf(
  fd: number,
  call: "getsockname" | "getpeername",
): ReturnType<typeof sockaddrNl.read> {
  const bytes = new Uint8Array(sockaddrNl.size);
  const length = new Uint8Array(Uint32Array.of(bytes.byteLength).buffer);
  const result = syscall(SYSCALLS[call], fd, bytes, length);
  if (!isErrno(result)) return sockaddrNl.read(bytes);
  const errno = errnoName(-result);
  throw new StasisError("syscall", `${call}() of a netlink socket failed: ${errno}`, { errno });
}
