/**
 * What images may say of a socket: no more than a checkpoint writes, here or of CRIU. The rest is refused when they are
 * loaded. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import type {
  inet_corked_entry,
  inet_extra_entry,
  inet_orphaned_entry,
  inet_sk_entry,
  tcp_stream_entry,
} from "../../images/gen/inet_pb.ts";
import { decodeAddress } from "./address.ts";
import { canEndSo } from "./ended.ts";
import { MD5_KEY_SIZE } from "./md5_keys.ts";
import { isMembership } from "./memberships.ts";
import { optionLists, SOL, TCP_OPTION } from "./option_lists.ts";
import type { Option } from "./options.ts";
import { isTcp, SOCK, type SocketKind } from "./protocol.ts";
import { packetProblem } from "./raw_packet.ts";

/** Protocols of sockets by their type; of a raw one it is any. */
const PROTOCOLS: ReadonlyMap<number, readonly number[]> = new Map([
  [SOCK.STREAM, [IPPROTO.TCP]],
  [SOCK.DGRAM, [IPPROTO.UDP, IPPROTO.UDPLITE, IPPROTO.ICMP, IPPROTO.ICMPV6]],
]);
/** States in which a program can have a TCP socket that is saved, and those of others. */
const TCP_STATES: readonly number[] = [
  TCP.ESTABLISHED,
  TCP.SYN_SENT,
  TCP.FIN_WAIT1,
  TCP.FIN_WAIT2,
  TCP.CLOSE,
  TCP.CLOSE_WAIT,
  TCP.LAST_ACK,
  TCP.LISTEN,
  TCP.CLOSING,
];
const OTHER_STATES: readonly number[] = [TCP.ESTABLISHED, TCP.CLOSE];
const MOST_PORT = 0xffff;
/** More than a datagram of UDP has. */
const MOST_DATAGRAM = 0xffff;
/** TCP_MAX_WSCALE (`include/net/tcp.h`). */
const MOST_SCALE = 14;

/** @throws {StasisError} `bad-image` */
export function checkSocket(
  entry: inet_sk_entry,
  extra: inet_extra_entry | undefined,
  path: string,
): void {
  const { ino, family, type, proto: protocol, state, srcPort, dstPort } = entry;
  const kind: SocketKind = { family, type, protocol };
  const refuse = (what: string): never => {
    throw new StasisError("bad-image", `socket:[${ino}] in ${path} ${what}`);
  };
  if (type !== SOCK.RAW && PROTOCOLS.get(type)?.includes(protocol) !== true) {
    refuse(`is of type ${type} and protocol ${protocol}`);
  }
  if (!(isTcp(kind) ? TCP_STATES : OTHER_STATES).includes(state)) refuse(`is in state ${state}`);
  const port = Math.max(srcPort, dstPort);
  if (port > MOST_PORT) refuse(`has port ${port}`);
  const isRaw = type === SOCK.RAW || protocol === IPPROTO.ICMP || protocol === IPPROTO.ICMPV6;
  for (const { data } of isRaw && !isTcp(kind) ? extra?.queue ?? [] : []) {
    const why = packetProblem(kind, srcPort, data);
    if (why !== undefined) refuse(`has messages waiting, ${why}`);
  }
  const { ended, corked } = extra ?? {};
  const isOver = isTcp(kind) && state === TCP.CLOSE && srcPort > 0;
  if (ended !== undefined && !(isOver && canEndSo(ended))) {
    refuse(`has ended with error ${ended.error}, which no checkpoint saves so`);
  }
  if (corked !== undefined && !isCorked(kind, corked)) {
    refuse("has begun a message that no checkpoint saves");
  }
  const canHave = isTcp(kind) && state === TCP.LISTEN;
  if (extra?.orphaned.some((one) => !canHave || !isOrphaned(one)) === true) {
    refuse("has connections that wait to be accepted and are over, which no checkpoint saves so");
  }
  for (const option of extra?.more ?? []) {
    if (isOption(kind, option)) continue;
    refuse(`has option ${option.name} of level ${option.level}, which no checkpoint saves`);
  }
}

function isCorked(kind: SocketKind, { data, to, source }: inet_corked_entry): boolean {
  const target = decodeAddress(to);
  return !isTcp(kind) && data.byteLength <= MOST_DATAGRAM && target !== undefined &&
    source.byteLength === target.bytes.byteLength;
}

/** One that is neither closed nor reset is somebody's. */
function isOrphaned({ from, to, end, reset }: inet_orphaned_entry): boolean {
  const source = decodeAddress(from), target = decodeAddress(to);
  return source !== undefined && source.family === target?.family && (end || reset);
}

/** @throws {StasisError} `bad-image` */
export function checkStream(
  { outqLen, unsqLen, sndWscale, rcvWscale }: tcp_stream_entry,
  path: string,
): void {
  if (unsqLen > outqLen) {
    throw new StasisError("bad-image", `${path} has ${unsqLen} of ${outqLen} bytes to be sent`);
  }
  const scale = Math.max(sndWscale, rcvWscale);
  if (scale > MOST_SCALE) throw new StasisError("bad-image", `${path} has window scale ${scale}`);
}

/** Whether a checkpoint saves an option of a socket of this kind in this form. */
function isOption(kind: SocketKind, { level, name, value }: Option): boolean {
  if (!isTcp(kind) && isMembership(kind.family, { level, name, value })) return true;
  // A protocol of the kernel's own on a connection is refused by the checkpoint.
  if (level === SOL.TCP && name === TCP_OPTION.ULP) return false;
  if (level === SOL.TCP && name === TCP_OPTION.MD5SIG_EXT) {
    return isTcp(kind) && value.byteLength === MD5_KEY_SIZE;
  }
  return [true, false].some((connected) =>
    optionLists(kind, connected).some(([its, sizes]) =>
      its === level && value.byteLength <= (sizes.get(name) ?? -1)
    )
  );
}
