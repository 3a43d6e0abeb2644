/**
 * The calls that begin a message once more as a program had begun it, and leave it to that to go on with it. Pure.
 *
 * Everything that the first piece decides goes with it (ip_setup_cork() of `net/ipv4/ip_output.c`, ip6_setup_cork() of
 * `net/ipv6/ip6_output.c`): whom it goes to and from where, hops, class of traffic, the size of segments.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AF_INET, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { iovec, MSG_DONTWAIT, msghdr } from "../../core/linux/net/socket_ffi.ts";
import { SO } from "../../core/linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { type BufferLimits, planNumber, planRoom } from "../../core/restore/socket_options.ts";
import type { inet_corked_entry } from "../../images/gen/inet_pb.ts";
import { present } from "../../images/present.ts";
import { decodeAddress, endText, isAny } from "./address.ts";
import { join } from "../../core/linux/net/kernel_buffers.ts";
import { IP, IPV6, SOL, UDP } from "./option_lists.ts";
import { SOCK } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";

/** For sendmsg(2): more follows. */
const MSG_MORE = 0x8000;
/** Of messages that go beside (`include/uapi/linux/in6.h`): IPV6_PKTINFO, IPV6_HOPLIMIT. */
const IPV6_PKTINFO = 50, IPV6_HOPLIMIT = 52;
/** struct cmsghdr: the length, level and type; each begins at a multiple of 8. */
const HEAD = 16;

/** Adds the calls, for a socket that is bound and connected as it was. */
export function planCorked(
  program: SyscallProgram,
  fd: Argument,
  socket: SavedSocket,
  corked: inet_corked_entry,
  limits: BufferLimits,
): void {
  const { data, to } = corked;
  const target = decodeAddress(to);
  if (target === undefined) throw new StasisError("bad-image", "a message goes to nobody");
  planRoom(program, fd, limits);
  planNumber(program, fd, SO.BROADCAST, 1);
  const text = `${data.byteLength} bytes`;
  const vector = program.data(iovec.make({ len: BigInt(data.byteLength) }), "iovec")
    .point(0, program.data(data, text));
  const control = controlOf(socket, corked, target.family);
  const head = msghdr.make({
    nameLen: to.byteLength,
    iovLen: 1n,
    controlLen: BigInt(control.byteLength),
  });
  const message = program.data(head, text)
    .point(0, program.data(to, endText(target.bytes, target.port)))
    .point(16, vector)
    .point(32, program.data(control, "what goes beside it"));
  program.expect(BigInt(data.byteLength), "sendmsg", fd, message, MSG_DONTWAIT | MSG_MORE);
}

/** What goes beside the message. */
function controlOf(
  { kind: { type, protocol } }: SavedSocket,
  corked: inet_corked_entry,
  family: number,
): Uint8Array {
  const { source } = corked;
  const parts: Uint8Array[] = [];
  const add = (level: number, name: number, value: Uint8Array): void => {
    const part = new Uint8Array(HEAD + Math.ceil(value.byteLength / 8) * 8);
    const view = new DataView(part.buffer);
    view.setBigUint64(0, BigInt(HEAD + value.byteLength), true);
    view.setInt32(8, level, true);
    view.setInt32(12, name, true);
    part.set(value, HEAD);
    parts.push(part);
  };
  const number = (level: number, name: number, value: number | boolean | undefined): void => {
    if (value !== undefined) add(level, name, new Uint8Array(Int32Array.of(Number(value)).buffer));
  };
  const hops = present(corked, "hops"), trafficClass = present(corked, "trafficClass");
  if (family === AF_INET) {
    number(SOL.IP, IP.TTL, hops);
    number(SOL.IP, IP.TOS, trafficClass);
    // struct in_pktinfo: the interface, the address that it is sent from, and one that is not asked for.
    const info = new Uint8Array(12);
    info.set(source, 4);
    if (!isAny(source)) add(SOL.IP, IP.PKTINFO, info);
  } else {
    number(SOL.IPV6, IPV6_HOPLIMIT, hops);
    number(SOL.IPV6, IPV6.TCLASS, trafficClass);
    number(SOL.IPV6, IPV6.DONTFRAG, present(corked, "whole"));
    // struct in6_pktinfo: the address, and the interface.
    const info = new Uint8Array(20);
    info.set(source);
    if (!isAny(source)) add(SOL.IPV6, IPV6_PKTINFO, info);
  }
  const segment = present(corked, "segment");
  if (segment !== undefined && type === SOCK.DGRAM && protocol === IPPROTO.UDP) {
    add(SOL.UDP, UDP.SEGMENT, new Uint8Array(Uint16Array.of(segment).buffer));
  }
  return join(parts);
}
