/**
 * Open files of an image in a few words.
 *
 * @module
 */
import { printableName } from "../../base/byte_text.ts";
import { addressText, endText, fromWords, isAny } from "../../plugins/inet/address.ts";
import { kindText } from "../../plugins/inet/protocol.ts";
import { groupNumbers } from "../../plugins/netlink/address.ts";
import { swapped } from "../../plugins/packet/options.ts";
import { nameText } from "../../plugins/unix/name.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import { plural } from "../ui/units.ts";

/** What a descriptor leads to. */
export interface FileText {
  /** `file`, `pipe`, `eventfd` and the like. */
  readonly kind: string;
  readonly what: string;
}

/** O_ACCMODE and what it selects (include/uapi/asm-generic/fcntl.h), and O_PATH. */
const ACCESS = ["read", "write", "read-write", "no access"];
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;

const KINDS: Readonly<Partial<Record<fd_types, string>>> = {
  [fd_types.REG]: "file",
  [fd_types.INETSK]: "inet socket",
  [fd_types.UNIXSK]: "unix socket",
  [fd_types.EVENTPOLL]: "epoll",
  [fd_types.PACKETSK]: "packet socket",
  [fd_types.NETLINKSK]: "netlink socket",
  [fd_types.NS]: "namespace",
  [fd_types.EXT]: "external",
  [fd_types.TTY]: "terminal",
  [fd_types.MQUEUE]: "message queue",
  [fd_types.PLUGIN]: "of a plugin",
};

/**
 * Describes an open file.
 *
 * @param file its entry of `files.img`; undefined where the images have none
 * @param terminals what the terminals are, by their ids
 */
export function describeFile(
  type: fd_types,
  file: file_entry | undefined,
  terminals: ReadonlyMap<number, string> = new Map(),
): FileText {
  const kind = KINDS[type] ?? (fd_types[type] ?? `type ${type}`).toLowerCase();
  return { kind, what: file === undefined ? "not in the images" : words(file, terminals) };
}

function words(file: file_entry, terminals: ReadonlyMap<number, string>): string {
  const {
    reg,
    pipe,
    fifo,
    usk,
    isk,
    nlsk,
    psk,
    efd,
    epfd,
    ify,
    sgfd,
    tfd,
    tty,
    memfd,
    nsf,
    pidfd,
  } = file;
  if (reg !== undefined) {
    const path = printableName(reg.name.startsWith("/") ? reg.name : `/${reg.name}`);
    if (reg.flags & O_PATH) return `${path}  O_PATH`;
    if (reg.flags & O_DIRECTORY) return path;
    return `${path}  ${access(reg.flags)} at ${reg.pos}`;
  }
  if (pipe !== undefined) return `pipe ${pipe.pipeId}  ${access(pipe.flags)}`;
  if (fifo !== undefined) return `fifo ${fifo.pipeId}`;
  if (usk !== undefined) return socket(usk);
  if (isk !== undefined) return inetSocket(isk);
  if (nlsk !== undefined) return netlinkSocket(nlsk);
  if (psk !== undefined) return packetSocket(psk);
  if (efd !== undefined) return `counter ${efd.counter}`;
  if (epfd !== undefined) {
    return `watches ${epfd.tfd.map(({ tfd }) => tfd).join(", ") || "nothing"}`;
  }
  if (ify !== undefined) {
    const paths = ify.wd.map(({ fHandle, iIno }) => fHandle?.path || `inode ${iIno}`);
    return `watches ${paths.map(printableName).join(", ") || "nothing"}`;
  }
  if (sgfd !== undefined) return `mask 0x${sgfd.sigmask.toString(16)}`;
  if (tfd !== undefined) return timer(tfd);
  if (tty !== undefined) {
    const terminal = terminals.get(tty.ttyInfoId) ?? `terminal ${tty.ttyInfoId}`;
    return `${terminal}  ${access(tty.flags)}`;
  }
  if (memfd !== undefined) return `memfd ${memfd.inodeId}  ${access(memfd.flags)} at ${memfd.pos}`;
  if (pidfd !== undefined) return pidfd.nspid < 0 ? "reaped" : `process ${pidfd.nspid}`;
  if (nsf !== undefined) return `namespace ${nsf.nsId}`;
  return "";
}

function access(flags: number): string {
  return ACCESS[flags & 3]!;
}

/** SOCK_* (include/linux/net.h), and what a socket's state says (include/net/tcp_states.h). */
const SOCKET_TYPES: Readonly<Record<number, string>> = { 1: "stream", 2: "dgram", 5: "seqpacket" };
const TCP_ESTABLISHED = 1, TCP_LISTEN = 10;
const SHUT = ["", "receiving", "sending", "both directions"];

function socket(usk: NonNullable<file_entry["usk"]>): string {
  const parts = [`socket:[${usk.ino}] ${SOCKET_TYPES[usk.type] ?? `type ${usk.type}`}`];
  if (usk.name.byteLength > 0) parts.push(nameText(usk.name));
  if (usk.state === TCP_LISTEN) parts.push("listens");
  else if (usk.peer !== 0) parts.push(`to socket:[${usk.peer}]`);
  else parts.push(usk.state === TCP_ESTABLISHED ? "its peer is closed" : "not connected");
  if (usk.shutdown !== undefined && usk.shutdown !== 0) {
    parts.push(`${SHUT[usk.shutdown]} shut down`);
  }
  return parts.join("  ");
}

/** What the states of `include/net/tcp_states.h` are called, from 1 on. */
const TCP_STATES = [
  "",
  "established",
  "syn-sent",
  "syn-recv",
  "fin-wait-1",
  "fin-wait-2",
  "time-wait",
  "closed",
  "close-wait",
  "last-ack",
  "listens",
  "closing",
];
const SOCK_STREAM = 1;

function inetSocket(isk: NonNullable<file_entry["isk"]>): string {
  const { ino, family, type, proto, srcPort, dstPort, state, shutdown } = isk;
  const parts = [`socket:[${ino}] ${kindText({ type, protocol: proto })}`];
  const source = fromWords(family, isk.srcAddr), target = fromWords(family, isk.dstAddr);
  const text = (bytes: Uint8Array, port: number): string =>
    port === 0 ? addressText(bytes) : endText(bytes, port);
  if (srcPort !== 0 || !isAny(source)) parts.push(text(source, srcPort));
  if (dstPort !== 0 || !isAny(target)) parts.push(`to ${text(target, dstPort)}`);
  if (type === SOCK_STREAM) parts.push(TCP_STATES[state] ?? `state ${state}`);
  if (shutdown !== 0) parts.push(`${SHUT[shutdown]} shut down`);
  return parts.join("  ");
}

/** What protocols are called (`include/uapi/linux/netlink.h`), of those that programs mostly have. */
const NETLINK_NAMES: Readonly<Record<number, string>> = {
  0: "NETLINK_ROUTE",
  2: "NETLINK_USERSOCK",
  4: "NETLINK_SOCK_DIAG",
  9: "NETLINK_AUDIT",
  15: "NETLINK_KOBJECT_UEVENT",
  16: "NETLINK_GENERIC",
};

function netlinkSocket(nlsk: NonNullable<file_entry["nlsk"]>): string {
  const { ino, protocol, portid, state, dstPortid, dstGroup } = nlsk;
  const parts = [`socket:[${ino}] ${NETLINK_NAMES[protocol] ?? `netlink protocol ${protocol}`}`];
  parts.push(portid === 0 ? "not bound" : `address ${portid}`);
  const groups = groupNumbers(nlsk.groups);
  if (groups.length > 0) parts.push(`in ${plural(groups.length, "group")} (${groups.join(", ")})`);
  if (state === TCP_ESTABLISHED) parts.push(`to ${dstGroup > 0 ? `group ${dstGroup}` : dstPortid}`);
  return parts.join("  ");
}

/** ETH_P_ALL (`include/uapi/linux/if_ether.h`), and SOCK_RAW. */
const EVERY_PROTOCOL = 3, SOCK_RAW = 3;

function packetSocket({ type, protocol, ifindex }: NonNullable<file_entry["psk"]>): string {
  const number = swapped(protocol);
  const what = number === 0
    ? "hears nothing"
    : number === EVERY_PROTOCOL
    ? "every protocol"
    : `protocol 0x${number.toString(16).padStart(4, "0")}`;
  const where = ifindex === 0 ? "all interfaces" : `interface ${ifindex}`;
  return [type === SOCK_RAW ? "raw" : "without headers", what, where].join("  ");
}

function timer(tfd: NonNullable<file_entry["tfd"]>): string {
  const seconds = (s: bigint, ns: bigint) => `${(Number(s) + Number(ns) / 1e9).toFixed(3)} s`;
  if (tfd.vsec === 0n && tfd.vnsec === 0n) return "not armed";
  const every = tfd.isec === 0n && tfd.insec === 0n
    ? ""
    : `, then every ${seconds(tfd.isec, tfd.insec)}`;
  return `due in ${seconds(tfd.vsec, tfd.vnsec)}${every}`;
}
