/**
 * The calls that make sockets anew. Pure.
 *
 * A socket is made and bound in the stage "open", and comes to listen or to be connected in the stage "connect": by
 * then all of the tree are bound, whoever has them, and so no port is taken that the tree itself has. Until then all
 * of TCP may share their ports (SO_REUSEADDR), as those that a listening socket has accepted do.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { AF_INET, TCP } from "../../core/linux/net/inet_diag.ts";
import { SOCK_CLOEXEC, SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { SO } from "../../core/linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { type BufferLimits, planNumber, planOptions } from "../../core/restore/socket_options.ts";
import { type Address, encodeAddress, endText } from "./address.ts";
import type { Option } from "./options.ts";
import { IP, IPV6, SOL, TCP_OPTION } from "./option_lists.ts";
import { planCorked } from "./plan_corked.ts";
import { planDatagrams, planFlag } from "./plan_datagrams.ts";
import { planGuard, planPackets, planWitness } from "./plan_raw_queue.ts";
import { planDevice } from "./plan_segment.ts";
import { isTcp, SOCK } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";
import { hasReceivedEnd, hasSentEnd, REPAIR } from "./tcp_stream.ts";

/** SHUT_RD, SHUT_WR, SHUT_RDWR of shutdown(2) by what the image says. */
const HOW: Readonly<Partial<Record<number, number>>> = { 1: 0, 2: 1, 3: 2 };

/** What it takes to fill a socket. */
export interface Filling {
  /** Of raw and ICMP sockets: what is marked so is for this one, and no others are to take it. */
  readonly mark?: number;
  /** Of UDP-Lite: the port that it has meanwhile. */
  readonly port?: number;
}

/** Adds the calls of the stage "open". @returns the descriptor */
export function planSocket(
  program: SyscallProgram,
  socket: SavedSocket,
  limits: BufferLimits,
  { mark, port }: Filling = {},
): Argument {
  const { kind: { family, type, protocol }, entry: { opts } } = socket;
  const isFilled = mark !== undefined && socket.queue.length > 0;
  const witness = isFilled ? planWitness(program, socket, mark) : undefined;
  const fill = (): void => {
    if (isFilled && witness !== undefined) planPackets(program, fd, witness, socket, mark, limits);
  };
  const fd = program.call("socket", family, type | O.NONBLOCK | SOCK_CLOEXEC, protocol);
  const { uid, gid } = socket.owner;
  if (uid !== 0 || gid !== 0) program.call("fchown", fd, uid, gid);
  if (mark !== undefined) {
    planGuard(program, fd, mark);
    if (type === SOCK.RAW) fill();
  } else if (socket.queue.length > 0) {
    // Looking whether a datagram has come waits for it.
    planStatusFlags(program, fd, 0, O.NONBLOCK);
    planDatagrams(program, fd, socket, limits, port);
    planStatusFlags(program, fd, O.NONBLOCK);
  }
  if (isTcp(socket.kind) || opts?.reuseaddr === true) planNumber(program, fd, SO.REUSEADDR, 1);
  if (opts?.soReuseport === true) planNumber(program, fd, SO.REUSEPORT, 1);
  if (opts !== undefined && opts.soMark !== 0) planNumber(program, fd, SO.MARK, opts.soMark);
  // What an ICMP socket is filled with comes by the loopback device.
  const isLate = isFilled && type !== SOCK.RAW;
  if (!isLate) planDevice(program, fd, opts?.soBoundDev ?? "");
  for (const option of socket.more) planOption(program, fd, option);
  const [level, freebind] = family === AF_INET
    ? [SOL.IP, IP.FREEBIND] as const
    : [SOL.IPV6, IPV6.FREEBIND] as const;
  if (socket.isForeign) planFlag(program, fd, level, freebind, 1);
  if (socket.isBound && !socket.isConnected) {
    if (isTcp(socket.kind)) planTcpBind(program, fd, socket.own, limits);
    else planBind(program, fd, socket.own);
  } else if (socket.isBound && !isTcp(socket.kind)) planBind(program, fd, socket.own);
  if (socket.isForeign) {
    const kept = socket.more.some((one) =>
      one.level === level && one.name === freebind && one.value[0] !== 0
    );
    planFlag(program, fd, level, freebind, Number(kept));
  }
  if (isLate) {
    fill();
    planDevice(program, fd, opts?.soBoundDev ?? "");
  }
  return fd;
}

/** Adds the calls for what comes when it has all that is to be in it. */
export function planRest(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  limits: BufferLimits,
  { mark }: Filling = {},
): void {
  const { entry, peer, options } = socket;
  if (mark !== undefined) planFlag(program, fd, SOL_SOCKET, SO.DETACH_FILTER, 0);
  const { opts, state, backlog } = entry;
  if (isTcp(socket.kind)) {
    if (state === TCP.LISTEN) program.explained(portProblem(socket), "listen", fd, backlog);
  } else if (socket.isConnected) {
    const address = encodeAddress(peer);
    const text = endText(peer.bytes, peer.port);
    program.call("connect", fd, program.data(address, text), address.byteLength);
  }
  const how = HOW[entry.shutdown & ~impliedShutdown(socket)];
  // Of one that is not connected it says ENOTCONN and does it all the same (inet_shutdown()).
  if (how !== undefined) program.try("shutdown", fd, how);
  if (socket.corked !== undefined) planCorked(program, fd, socket, socket.corked, limits);
  if (opts !== undefined) {
    if (socket.corked !== undefined) {
      planNumber(program, fd, SO.BROADCAST, Number(opts.soBroadcast));
    }
    planNumber(program, fd, SO.REUSEADDR, Number(opts.reuseaddr));
    // IP_TOS has changed it.
    planNumber(program, fd, SO.PRIORITY, opts.soPriority);
    planOptions(program, fd, opts, options, limits);
  }
  planStatusFlags(program, fd, entry.flags, O.NONBLOCK);
}

/**
 * Adds the calls that bind a TCP socket whoever else has its port: connections that were closed keep it for a minute
 * (TIME_WAIT), and others may have got it meanwhile. In repair mode, which takes CAP_NET_ADMIN, nobody is asked, and the
 * end of that takes SO_REUSEADDR away.
 */
export function planTcpBind(
  program: SyscallProgram,
  fd: Argument,
  own: Address,
  { force }: BufferLimits,
): void {
  if (!force) return planBind(program, fd, own);
  planFlag(program, fd, SOL.TCP, TCP_OPTION.REPAIR, REPAIR.ON);
  planBind(program, fd, own);
  planFlag(program, fd, SOL.TCP, TCP_OPTION.REPAIR, REPAIR.OFF);
  planNumber(program, fd, SO.REUSEADDR, 1);
}

/** The directions of a connection that are shut down by what it has sent and received. */
function impliedShutdown({ entry: { state }, stream, ended }: SavedSocket): number {
  if (ended !== undefined) return 3;
  if (stream === undefined) return 0;
  return (hasReceivedEnd(state) ? 1 : 0) | (hasSentEnd(state) ? 2 : 0);
}

/** Why a socket cannot listen. */
function portProblem({ own, entry: { ino } }: SavedSocket) {
  return (errno: string): StasisError | undefined =>
    errno !== "EADDRINUSE" ? undefined : new StasisError(
      "conflict",
      `the port of socket:[${ino}], ${
        endText(own.bytes, own.port)
      }, is taken by another socket, or by ` +
        "connections that were closed less than a minute ago (TIME_WAIT)",
      { errno, hint: "try again in a minute, or see who has it: ss -tanp" },
    );
}

/** Adds the call that binds a socket. */
export function planBind(program: SyscallProgram, fd: Argument, own: Address): void {
  const address = encodeAddress(own);
  const text = endText(own.bytes, own.port);
  program.call("bind", fd, program.data(address, text), address.byteLength);
}

/** Adds the call that sets an option. */
function planOption(program: SyscallProgram, fd: Argument, { level, name, value }: Option): void {
  const bytes = program.data(value, `${value.byteLength} bytes`);
  program.call("setsockopt", fd, level, name, bytes, value.byteLength);
}
