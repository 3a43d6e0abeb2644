/**
 * The calls that fill new raw and ICMP sockets with the packets that waited in them. Pure.
 *
 * A raw socket sends each again as it came, inside of this machine, by the loopback device, which a packet passes wherever
 * it says that it goes. All raw sockets of its protocol get it: those of the tree have a filter until all are filled, by
 * which each takes only what is marked for it (SKF_AD_MARK of `include/uapi/linux/filter.h`); where somebody else has one
 * there is no restore. One more of them, which was made before, tells when a packet is there.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AF_INET, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import {
  MSG_DONTWAIT,
  MSG_PEEK,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../../core/linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, SO, timeval } from "../../core/linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { type BufferLimits, planNumber } from "../../core/restore/socket_options.ts";
import { encodeAddress } from "./address.ts";
import { SOCK } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";

/** For how long a packet may be on its way inside of this machine, in seconds. */
const PATIENCE = 5n;
/** How many packets may have come before there was a filter. */
const EARLY = 4;
/** Instructions of classic BPF: BPF_LD | BPF_W | BPF_ABS of SKF_AD_OFF + SKF_AD_MARK, BPF_JMP | BPF_JEQ, BPF_RET. */
const LOAD = 0x20, JUMP_EQUAL = 0x15, RETURN = 0x06, MARK_AT = -0x1000 + 20;
const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = new Uint8Array(16).with(15, 1);

/** Adds the calls that have a socket take only what has a mark. */
export function planGuard(program: SyscallProgram, fd: Argument, mark: number): void {
  const code = [
    [LOAD, 0, 0, MARK_AT],
    [JUMP_EQUAL, 0, 1, mark],
    [RETURN, 0, 0, 0x7fffffff],
    [RETURN, 0, 0, 0],
  ] as const;
  const bytes = new Uint8Array(code.length * 8);
  const view = new DataView(bytes.buffer);
  code.forEach(([operation, yes, no, value], index) => {
    view.setUint16(index * 8, operation, true);
    view.setUint8(index * 8 + 2, yes);
    view.setUint8(index * 8 + 3, no);
    view.setInt32(index * 8 + 4, value, true);
  });
  // struct sock_fprog: the number of instructions, and at 8 where they are.
  const head = new Uint8Array(BigUint64Array.of(BigInt(code.length), 0n).buffer);
  const filter = program.data(head, `mark ${mark}`).point(8, program.data(bytes, "filter"));
  program.call("setsockopt", fd, SOL_SOCKET, SO.ATTACH_FILTER, filter, 16);
  const byte = program.output(1, "byte");
  for (let count = 0; count < EARLY; count++) {
    program.try("recvfrom", fd, byte, 1, MSG_DONTWAIT, 0, 0);
  }
}

/** Adds the calls that make the socket which tells when a packet is there; to be made before the one that is filled. */
export function planWitness(
  program: SyscallProgram,
  { kind: { family, protocol } }: SavedSocket,
  mark: number,
): Argument {
  const witness = program.call("socket", family, SOCK.RAW | SOCK_CLOEXEC, protocol);
  planGuard(program, witness, mark);
  planNumber(program, witness, SO.RCVBUF, LARGEST_BUFFER);
  const time = program.data(timeval.make({ sec: PATIENCE }), `${PATIENCE} s`);
  program.call("setsockopt", witness, SOL_SOCKET, SO.RCVTIMEO, time, timeval.size);
  return witness;
}

/** Adds the calls that fill a socket with a filter; one of ICMP is bound. */
export function planPackets(
  program: SyscallProgram,
  fd: Argument,
  witness: Argument,
  { kind: { family }, queue, entry: { ino } }: SavedSocket,
  mark: number,
  { force }: BufferLimits,
): void {
  const explain = (): StasisError =>
    new StasisError(
      "conflict",
      `packets that waited in socket:[${ino}] cannot be delivered: something on this machine throws away packets of ` +
        "its own",
      { hint: "see the rules of its firewall: nft list ruleset" },
    );
  planNumber(program, fd, force ? SO.RCVBUFFORCE : SO.RCVBUF, LARGEST_BUFFER);
  const sender = program.call("socket", family, SOCK.RAW | SOCK_CLOEXEC, IPPROTO.RAW);
  planNumber(program, sender, SO.SNDBUF, LARGEST_BUFFER);
  planNumber(program, sender, SO.MARK, mark);
  const bytes = family === AF_INET ? LOOPBACK4 : LOOPBACK6;
  const to = encodeAddress({ family, port: 0, bytes, scope: 0 });
  const there = program.data(to, "this machine");
  const byte = program.output(1, "byte");
  for (const { data } of queue) {
    const size = data.byteLength;
    const packet = program.data(data, `${size} bytes`);
    program.expect(
      BigInt(size),
      "sendto",
      sender,
      packet,
      size,
      MSG_DONTWAIT,
      there,
      to.byteLength,
    );
    program.expectExplained(1n, explain, "recvfrom", witness, byte, 1, 0, 0, 0);
  }
  program.call("close", sender);
  program.call("close", witness);
  program.expectExplained(1n, explain, "recvfrom", fd, byte, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0);
}
