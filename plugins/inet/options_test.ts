import { deepEqual } from "@std/assert";
import { AF_INET, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";
import { readOptions } from "./options.ts";
import { SOCK } from "./protocol.ts";

Deno.test("readOptions() tells of each socket its own options, whichever was read before", () => {
  const kind = { family: AF_INET, type: SOCK.STREAM, protocol: IPPROTO.TCP };
  using usual = makeSocket(kind);
  using eager = makeSocket(kind);
  using other = makeSocket(kind);
  const set = (fd: number, name: number, value: number): void => {
    const bytes = new Uint8Array(Uint32Array.of(value).buffer);
    deepEqual(syscall(SYSCALLS.setsockopt, fd, SOL.TCP, name, bytes, 4), 0n);
  };
  const read = (fd: number) =>
    readOptions(fd, kind, false).map(({ level, name, value }) => [level, name, value[0]]);
  set(eager.fd, TCP_OPTION.NODELAY, 1);
  set(other.fd, TCP_OPTION.KEEPCNT, 5);
  const eagers = [[SOL.TCP, TCP_OPTION.NODELAY, 1]];
  const others = [[SOL.TCP, TCP_OPTION.KEEPCNT, 5]];
  deepEqual([usual, usual, eager, eager, other, usual, eager].map(({ fd }) => read(fd)), [
    [],
    [],
    eagers,
    eagers,
    others,
    [],
    eagers,
  ]);
  set(eager.fd, TCP_OPTION.NODELAY, 0);
  deepEqual(read(eager.fd), []);
});
