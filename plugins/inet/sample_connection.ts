/**
 * Test support: a TCP connection of this process with itself.
 *
 * @module
 */
import { syscall } from "../../core/linux/libc_ffi.ts";
import { must } from "../../core/linux/must.ts";
import { AF_INET, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { encodeAddress } from "./address.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { SOCK } from "./protocol.ts";

/** Both ends of a connection; closed with its scope. */
export interface ConnectedPair extends Disposable {
  readonly client: number;
  readonly server: number;
  send(fd: number, bytes: Uint8Array): void;
  receive(fd: number): Uint8Array;
}

/** Makes one over the loopback interface. @throws {StasisError} `syscall` */
export function connectPair(): ConnectedPair {
  const kind = { family: AF_INET, type: SOCK.STREAM, protocol: IPPROTO.TCP };
  using listener = makeSocket(kind);
  const any = { family: AF_INET, port: 0, bytes: Uint8Array.of(127, 0, 0, 1), scope: 0 };
  const name = encodeAddress(any);
  must(syscall(SYSCALLS.bind, listener.fd, name, name.byteLength), "bind");
  must(syscall(SYSCALLS.listen, listener.fd, 1), "listen");
  const size = new Uint8Array(Uint32Array.of(name.byteLength).buffer);
  must(syscall(SYSCALLS.getsockname, listener.fd, name, size), "getsockname");
  const client = makeSocket(kind);
  must(syscall(SYSCALLS.connect, client.fd, name, name.byteLength), "connect");
  const accepted = syscall(SYSCALLS.accept4, listener.fd, 0, 0, 0);
  const server = new OwnedDescriptor(must(accepted, "accept4"));
  return {
    client: client.fd,
    server: server.fd,
    send(fd, bytes) {
      must(syscall(SYSCALLS.sendto, fd, bytes, bytes.byteLength, 0, 0, 0), "send");
    },
    receive(fd) {
      const bytes = new Uint8Array(4096);
      const got = syscall(SYSCALLS.recvfrom, fd, bytes, bytes.byteLength, 0, 0, 0);
      return bytes.subarray(0, must(got, "receive"));
    },
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    },
  };
}
