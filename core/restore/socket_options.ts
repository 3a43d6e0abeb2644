/**
 * Options of SOL_SOCKET and the calls that set them again; and what a restore may do with sizes of buffers.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../linux/capability.ts";
import { SOL_SOCKET } from "../linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, linger, MORE_OPTIONS, SO, timeval } from "../linux/net/socket_options.ts";
import type { Privileges } from "../plugin.ts";
import type { Argument, SyscallProgram } from "../remote/program.ts";
import { planFilter } from "./socket_filter.ts";
import { present } from "../../images/present.ts";
import type { sk_opts_entry, socket_option_entry } from "../../images/gen/sockets_pb.ts";

/** What this process may do with sizes of buffers. */
export interface BufferLimits {
  /** May go past the system's limits: CAP_NET_ADMIN. */
  readonly force: boolean;
  /** The largest that setsockopt(2) takes otherwise, in bytes: net.core.wmem_max and rmem_max. */
  readonly send: number;
  readonly receive: number;
}

/** What a restore may do with sizes of buffers. */
export function bufferLimits({ caps }: Privileges): BufferLimits {
  const most = (name: string): number =>
    Number(Deno.readTextFileSync(`/proc/sys/net/core/${name}`));
  return {
    force: (caps.effective & CAP.NET_ADMIN) !== 0n,
    send: most("wmem_max"),
    receive: most("rmem_max"),
  };
}

/** Whether sizes of buffers are larger than may be set. */
export function isTooLarge(
  opts: sk_opts_entry | undefined,
  { force, send, receive }: BufferLimits,
): boolean {
  return !force && opts !== undefined &&
    (opts.soSndbuf > 2 * send || opts.soRcvbuf > 2 * receive);
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
 * never: what the default is depends on the machine, and {@link planRoom} has changed it. Its filter comes first: behind
 * SO_LOCK_FILTER none can be attached (`sk_attach_prog()` of `net/core/filter.c`).
 *
 * @throws {StasisError} `bad-image` where `more` has one that no checkpoint saves
 */
export function planOptions(
  program: SyscallProgram,
  fd: Argument,
  opts: sk_opts_entry,
  more: readonly Pick<socket_option_entry, "name" | "value">[],
  { force }: BufferLimits,
): void {
  const set = (name: number, value: number, otherwise = 0): void => {
    if (value !== otherwise) planNumber(program, fd, name, value);
  };
  const structure = (name: number, bytes: Uint8Array, note: string): void => {
    program.call("setsockopt", fd, SOL_SOCKET, name, program.data(bytes, note), bytes.byteLength);
  };
  planFilter(program, fd, opts.soFilter);
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
  for (const { name, value } of more) {
    if (!MORE_OPTIONS.some(([known]) => known === name)) {
      throw new StasisError("bad-image", `a socket has option ${name}, which no checkpoint saves`);
    }
    planNumber(program, fd, name, value);
  }
}
