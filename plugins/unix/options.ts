/**
 * Options of sockets: read from a duplicate, and set again by calls of a program.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, type OptionReader, SO } from "../../core/linux/net/socket_options.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { present } from "../../images/present.ts";
import type {
  sk_opts_entry,
  sk_opts_entrySchema,
  socket_option_entry,
} from "../../images/gen/sockets_pb.ts";

/** struct timeval. */
const timeval = defineStruct("timeval", 16, { sec: [0, "i64"], usec: [8, "i64"] });
/** struct linger. */
const linger = defineStruct("linger", 8, { on: [0, "i32"], seconds: [4, "i32"] });

/**
 * Options with a number that CRIU's image has no field for, with their defaults. Many mean nothing to a unix socket,
 * but it takes them, and getsockopt(2) tells of them.
 */
const MORE: readonly (readonly [name: number, otherwise: number])[] = [
  [SO.TIMESTAMP, 0],
  [SO.TIMESTAMPNS, 0],
  [SO.TIMESTAMP_NEW, 0],
  [SO.TIMESTAMPNS_NEW, 0],
  [SO.RXQ_OVFL, 0],
  [SO.PEEK_OFF, -1],
  [SO.PASSPIDFD, 0],
  [SO.PASSRIGHTS, 1],
  [SO.DEBUG, 0],
  // Set by its newer number last: that is the one in force where both tell of it.
  [SO.TIMESTAMPING, 0],
  [SO.TIMESTAMPING_NEW, 0],
  [SO.WIFI_STATUS, 0],
  [SO.NOFCS, 0],
  [SO.LOCK_FILTER, 0],
  [SO.SELECT_ERR_QUEUE, 0],
  [SO.BUSY_POLL, 0],
  [SO.PREFER_BUSY_POLL, 0],
  [SO.BUSY_POLL_BUDGET, 0],
  [SO.MAX_PACING_RATE, -1],
  [SO.INCOMING_CPU, -1],
  [SO.RCVMARK, 0],
  [SO.RCVPRIORITY, 0],
];

/** A number of an image's option: {@link socket_option_entry} as a plain object. */
export type MoreOption = Pick<socket_option_entry, "name" | "value">;

/** The options of a socket. */
export interface SocketOptions {
  readonly opts: MessageInitShape<typeof sk_opts_entrySchema>;
  /** Those that have no field in there and are not at their default. */
  readonly more: readonly MoreOption[];
}

/** Why the options of a socket cannot be saved. */
export function optionProblem(options: OptionReader): string | undefined {
  // With no room the number of its instructions is all that comes; of one of eBPF not even that
  // (sk_get_filter() of net/core/filter.c).
  if (options.length(SO.ATTACH_FILTER) !== 0) return "has a filter attached (SO_ATTACH_FILTER)";
  const device = options.bytes(SO.BINDTODEVICE) ?? new Uint8Array(0);
  if (device.byteLength > 0) return "is bound to a network interface (SO_BINDTODEVICE)";
  return undefined;
}

/** Options that are a number and have a field in CRIU's image. */
const NUMBERS = [
  SO.SNDBUF,
  SO.RCVBUF,
  SO.REUSEADDR,
  SO.PRIORITY,
  SO.RCVLOWAT,
  SO.MARK,
  SO.PASSCRED,
  SO.PASSSEC,
  SO.DONTROUTE,
  SO.NO_CHECK,
  SO.REUSEPORT,
  SO.BROADCAST,
  SO.KEEPALIVE,
  SO.OOBINLINE,
  SO.BUF_LOCK,
];

/** What is read of each socket, with the most bytes that it has. */
export const OPTION_SIZES: ReadonlyMap<number, number> = new Map([
  ...[...NUMBERS, ...MORE.map(([name]) => name)].map((name) => [name, 4] as const),
  [SO.SNDTIMEO, timeval.size],
  [SO.RCVTIMEO, timeval.size],
  [SO.LINGER, linger.size],
  [SO.ATTACH_FILTER, 0],
  [SO.BINDTODEVICE, 16],
]);

/** The options of the socket that was read last. */
export function decodeOptions(options: OptionReader): SocketOptions {
  const number = (name: number): number => options.number(name) ?? 0;
  const flag = (name: number): boolean => number(name) !== 0;
  const send = timeval.read(options.bytes(SO.SNDTIMEO) ?? timeval.make({}));
  const receive = timeval.read(options.bytes(SO.RCVTIMEO) ?? timeval.make({}));
  const lingers = linger.read(options.bytes(SO.LINGER) ?? linger.make({}));
  const more: MoreOption[] = [];
  for (const [name, otherwise] of MORE) {
    const value = options.number(name) ?? otherwise;
    if (value !== otherwise) more.push({ name, value });
  }
  const opts = {
    soSndbuf: number(SO.SNDBUF),
    soRcvbuf: number(SO.RCVBUF),
    soSndTmoSec: send.sec,
    soSndTmoUsec: send.usec,
    soRcvTmoSec: receive.sec,
    soRcvTmoUsec: receive.usec,
    reuseaddr: flag(SO.REUSEADDR),
    soPriority: number(SO.PRIORITY),
    soRcvlowat: number(SO.RCVLOWAT),
    soMark: number(SO.MARK) >>> 0 || undefined,
    soPasscred: flag(SO.PASSCRED),
    soPasssec: flag(SO.PASSSEC),
    soDontroute: flag(SO.DONTROUTE),
    soNoCheck: flag(SO.NO_CHECK),
    soReuseport: flag(SO.REUSEPORT),
    soBroadcast: flag(SO.BROADCAST),
    soKeepalive: flag(SO.KEEPALIVE),
    soOobinline: number(SO.OOBINLINE),
    soLinger: lingers.on === 0 ? undefined : lingers.seconds,
    soBufLock: options.number(SO.BUF_LOCK),
  };
  return { opts, more };
}

/** What this process may do with sizes of buffers. */
export interface BufferLimits {
  /** May go past the system's limits: CAP_NET_ADMIN. */
  readonly force: boolean;
  /** The largest that setsockopt(2) takes otherwise, in bytes: net.core.wmem_max and rmem_max. */
  readonly send: number;
  readonly receive: number;
}

/** Adds the call that sets an option to a number. */
export function planNumber(
  program: SyscallProgram,
  fd: Argument,
  name: number,
  value: number,
): void {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  program.call("setsockopt", fd, SOL_SOCKET, name, program.data(bytes, `${value}`), 4);
}

/** Adds a call that makes a socket take as much to send as can be, for filling the queue of its peer. */
export function planRoom(program: SyscallProgram, fd: Argument, { force }: BufferLimits): void {
  planNumber(program, fd, force ? SO.SNDBUFFORCE : SO.SNDBUF, LARGEST_BUFFER);
}

/**
 * Adds the calls that give a new socket its options. Those at their default are left out, but sizes of buffers
 * never: what the default is depends on the machine, and {@link planRoom} has changed it.
 */
export function planOptions(
  program: SyscallProgram,
  fd: Argument,
  opts: sk_opts_entry,
  more: readonly MoreOption[],
  { force }: BufferLimits,
): void {
  const set = (name: number, value: number, otherwise = 0): void => {
    if (value !== otherwise) planNumber(program, fd, name, value);
  };
  const structure = (name: number, bytes: Uint8Array, note: string): void => {
    program.call("setsockopt", fd, SOL_SOCKET, name, program.data(bytes, note), bytes.byteLength);
  };
  planNumber(program, fd, force ? SO.SNDBUFFORCE : SO.SNDBUF, opts.soSndbuf >>> 1);
  planNumber(program, fd, force ? SO.RCVBUFFORCE : SO.RCVBUF, opts.soRcvbuf >>> 1);
  const lock = present(opts, "soBufLock");
  if (lock !== undefined) planNumber(program, fd, SO.BUF_LOCK, lock);
  set(SO.REUSEADDR, Number(opts.reuseaddr));
  set(SO.PRIORITY, opts.soPriority);
  set(SO.RCVLOWAT, opts.soRcvlowat || 1, 1);
  set(SO.MARK, opts.soMark);
  set(SO.PASSCRED, Number(opts.soPasscred));
  set(SO.PASSSEC, Number(opts.soPasssec));
  set(SO.DONTROUTE, Number(opts.soDontroute));
  set(SO.NO_CHECK, Number(opts.soNoCheck));
  set(SO.REUSEPORT, Number(opts.soReuseport));
  set(SO.BROADCAST, Number(opts.soBroadcast));
  set(SO.KEEPALIVE, Number(opts.soKeepalive));
  set(SO.OOBINLINE, opts.soOobinline);
  const seconds = present(opts, "soLinger");
  if (seconds !== undefined) {
    structure(SO.LINGER, linger.make({ on: 1, seconds }), `${seconds} s`);
  }
  for (
    const [name, sec, usec] of [
      [SO.SNDTIMEO, opts.soSndTmoSec, opts.soSndTmoUsec],
      [SO.RCVTIMEO, opts.soRcvTmoSec, opts.soRcvTmoUsec],
    ] as const
  ) {
    if (sec !== 0n || usec !== 0n) {
      structure(name, timeval.make({ sec, usec }), `${sec} s ${usec} us`);
    }
  }
  for (const { name, value } of more) planNumber(program, fd, name, value);
}
