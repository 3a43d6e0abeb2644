/**
 * Options of SOL_SOCKET, as getsockopt(2) tells them of a duplicate of a descriptor, for the images.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  linger,
  MORE_OPTIONS,
  type OptionReader,
  SO,
  timeval,
} from "../linux/net/socket_options.ts";
import type { sk_opts_entrySchema, socket_option_entry } from "../../images/gen/sockets_pb.ts";

/** A number of an image's option: {@link socket_option_entry} as a plain object. */
export type MoreOption = Pick<socket_option_entry, "name" | "value">;

/** The options of a socket. */
export interface SocketOptions {
  readonly opts: MessageInitShape<typeof sk_opts_entrySchema>;
  /** Those that have no field in there and are not at their default. */
  readonly more: readonly MoreOption[];
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
  ...[...NUMBERS, ...MORE_OPTIONS.map(([name]) => name)].map((name) => [name, 4] as const),
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
  for (const [name, otherwise] of MORE_OPTIONS) {
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
