import { equal, notEqual, ok } from "@std/assert";
import { Errno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { MSG_DONTWAIT } from "../../core/linux/net/socket_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { pause } from "../../core/linux/pause.ts";
import { dropIncoming } from "./drop_incoming.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { type ConnectedPair, connectPair } from "./sample_connection.ts";
import { QUEUE, readSent, REPAIR } from "./tcp_stream.ts";

/** Repair mode takes CAP_NET_ADMIN. */
const ignore = Deno.uid() !== 0;
const nothing = { erase() {} };

/** Of struct tcp_info: where tcpi_unacked and tcpi_notsent_bytes lie. */
const UNACKNOWLEDGED_AT = 24, UNSENT_AT = 144, INFO_SIZE = 148;

/** How many segments are on their way, and how many bytes are not. */
function countersOf(fd: number): { readonly unacknowledged: number; readonly unsent: number } {
  const info = new Uint8Array(INFO_SIZE);
  const length = new Uint8Array(Uint32Array.of(INFO_SIZE).buffer);
  equal(syscall(SYSCALLS.getsockopt, fd, SOL.TCP, TCP_OPTION.INFO, info, length), 0n);
  const view = new DataView(info.buffer);
  const at = (offset: number): number => view.getUint32(offset, true);
  return { unacknowledged: at(UNACKNOWLEDGED_AT), unsent: at(UNSENT_AT) };
}

/** Writes until no more goes in. @returns how many bytes */
function fill({ client }: ConnectedPair): number {
  const piece = new Uint8Array(1 << 16);
  for (let written = 0;;) {
    const sent = syscall(SYSCALLS.sendto, client, piece, piece.byteLength, MSG_DONTWAIT, 0, 0);
    if (sent === -BigInt(Errno.EAGAIN)) return written;
    written += Number(sent);
  }
}

/** Reads all of it, and so has the other end told that there is room. */
function drain({ server }: ConnectedPair): number {
  const piece = new Uint8Array(1 << 16);
  for (let read = 0;;) {
    const got = syscall(SYSCALLS.recvfrom, server, piece, piece.byteLength, MSG_DONTWAIT, 0, 0);
    if (got === -BigInt(Errno.EAGAIN)) return read;
    read += Number(got);
  }
}

/** For how long something is waited for that comes in microseconds, mostly, in milliseconds. */
const PATIENCE = 10_000;

/** Whether all that is unsent is taken for sent. */
function allTaken({ client }: ConnectedPair): boolean {
  return countersOf(client).unsent === 0;
}

function set(fd: number, name: number, value: number): void {
  const bytes = new Uint8Array(Int32Array.of(value).buffer);
  equal(syscall(SYSCALLS.setsockopt, fd, SOL.TCP, name, bytes, bytes.byteLength), 0n);
}

Deno.test({
  name: "dropIncoming() keeps what comes from having unsent data taken for sent",
  ignore,
  fn() {
    for (const isKept of [true, false]) {
      using pair = connectPair();
      fill(pair);
      const before = countersOf(pair.client);
      notEqual(before.unsent, 0);
      set(pair.client, TCP_OPTION.REPAIR, REPAIR.ON);
      {
        using _ = isKept ? dropIncoming(pair.client, () => nothing) : undefined;
        set(pair.client, TCP_OPTION.REPAIR_QUEUE, QUEUE.SEND);
        drain(pair);
        // This is what it is for. A busy machine may take a moment until the other end's answer is there.
        const end = performance.now() + PATIENCE;
        while (!isKept && !allTaken(pair) && performance.now() < end) pause(0.1);
        set(pair.client, TCP_OPTION.REPAIR_QUEUE, QUEUE.NONE);
      }
      equal(countersOf(pair.client).unsent, isKept ? before.unsent : 0);
      set(pair.client, TCP_OPTION.REPAIR, REPAIR.OFF_AND_ASK);
    }
  },
});

Deno.test({
  name:
    "readSent() lets nothing come only where something is unsent, and all of it goes on at once",
  ignore,
  fn() {
    using pair = connectPair();
    let noted = 0, erased = 0;
    const note = () => {
      noted++;
      return { erase: () => void erased++ };
    };
    readSent(pair.client, note);
    equal(noted, 0);
    const written = fill(pair);
    const before = countersOf(pair.client);
    const { bytes, unsent } = readSent(pair.client, note);
    equal(noted, 1);
    equal(erased, 1);
    equal(unsent, before.unsent);
    const after = countersOf(pair.client);
    equal(after.unsent, before.unsent);
    // The other end was asked what it has.
    ok(after.unacknowledged <= before.unacknowledged);
    notEqual(bytes.byteLength, 0);
    let read = 0;
    while (read < written) read += drain(pair);
  },
});
