import { deepEqual, equal } from "@std/assert";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { AF_INET, AF_INET6, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { encodeAddress } from "./address.ts";
import { datagramsOf, peekDatagrams } from "./datagram_queue.ts";
import { SOL, UDP } from "./option_lists.ts";
import { ipHeader } from "./packet.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { SOCK } from "./protocol.ts";

const KIND = { family: AF_INET, type: SOCK.DGRAM, protocol: IPPROTO.UDP };

function setUdp(fd: number, name: number, value: number): void {
  const bytes = new Uint8Array(Int32Array.of(value).buffer);
  equal(syscall(SYSCALLS.setsockopt, fd, SOL.UDP, name, bytes, 4), 0n);
}

Deno.test("peekDatagrams() takes datagrams apart that the kernel has joined", () => {
  using receiver = makeSocket(KIND);
  using sender = makeSocket(KIND);
  const any = { family: AF_INET, port: 0, bytes: Uint8Array.of(127, 0, 0, 1), scope: 0 };
  const name = encodeAddress(any);
  equal(syscall(SYSCALLS.bind, receiver.fd, name, name.byteLength), 0n);
  const size = new Uint8Array(Uint32Array.of(name.byteLength).buffer);
  equal(syscall(SYSCALLS.getsockname, receiver.fd, name, size), 0n);
  setUdp(receiver.fd, UDP.GRO, 1);
  setUdp(sender.fd, UDP.SEGMENT, 1000);
  const bytes = Uint8Array.from({ length: 2500 }, (_, at) => at * 7 & 255);
  const sent = syscall(
    SYSCALLS.sendto,
    sender.fd,
    bytes,
    bytes.byteLength,
    0,
    name,
    name.byteLength,
  );
  equal(sent, 2500n);
  for (let time = 0; time < 2; time++) {
    const found = peekDatagrams(receiver.fd, () => ({ erase() {} }));
    deepEqual(found.map(({ data }) => data), [
      bytes.slice(0, 1000),
      bytes.slice(1000, 2000),
      bytes.slice(2000),
    ]);
  }
});

Deno.test("datagramsOf() takes sender and datagrams out of what the kernel has", () => {
  const source = Uint8Array.of(10, 0, 0, 7);
  const header = Uint8Array.from([
    ...ipHeader(AF_INET, IPPROTO.UDP, source, source, 13),
    ...[0x12, 0x67, 0, 80, 0, 13, 0, 0],
  ]);
  const message = { header, bytes: Uint8Array.of(1, 2, 3, 4, 5), segment: 2 };
  const from = encodeAddress({ family: AF_INET, port: 4711, bytes: source, scope: 0 });
  deepEqual(datagramsOf(message, AF_INET), [
    { data: Uint8Array.of(1, 2), from },
    { data: Uint8Array.of(3, 4), from },
    { data: Uint8Array.of(5), from },
  ]);
  const six = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...source);
  deepEqual(datagramsOf({ ...message, segment: 0 }, AF_INET6), [{
    data: message.bytes,
    from: encodeAddress({ family: AF_INET6, port: 4711, bytes: six, scope: 0 }),
  }]);
  equal(datagramsOf({ ...message, header: header.subarray(0, 20) }, AF_INET), undefined);
});
