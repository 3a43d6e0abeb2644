import { deepEqual } from "@std/assert";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { O } from "../../core/linux/fcntl.ts";
import { SOCK } from "../../core/linux/net/unix_diag.ts";
import { connectOrder, planDatagrams } from "./datagrams.ts";
import { groupSockets } from "./group.ts";
import { sampleSocket } from "./sample_sockets.ts";

const MEANS = {
  limits: { force: true, send: 1, receive: 1 },
  place: () => undefined,
  bound: () => {},
  numberOf: () => -1,
  fetchListener: () => -1,
};
const plain = { type: SOCK.DGRAM, flags: O.NONBLOCK };
const name = (text: string) => new TextEncoder().encode(`\0${text}`);
const message = (length: number, from?: Uint8Array) => ({ bytes: new Uint8Array(length), from });

function callsOf(...sockets: Parameters<typeof sampleSocket>[]): string[] {
  const program = new SyscallProgram("test");
  const { groups: [group] } = groupSockets(sockets.map((one) => sampleSocket(...one)));
  if (group?.kind !== "datagrams") throw new Error(`it is a ${group?.kind}`);
  planDatagrams(program, group, MEANS)
    .fill(program, (fd) => fd);
  return program.calls.map((call) => formatCall(call)).filter((text) => !/SO_/.test(text));
}

Deno.test("connectOrder() connects a socket when all are connected to it", () => {
  const sockets = [
    sampleSocket(1, { ...plain, peer: 2 }),
    sampleSocket(2, { ...plain, peer: 3 }),
    sampleSocket(3, { ...plain, peer: 3 }),
    sampleSocket(4, { ...plain, peer: 1 }),
  ];
  deepEqual(connectOrder(sockets).map(({ entry }) => entry.ino), [4, 1, 2, 3]);
});

Deno.test("planDatagrams() lets each message come from a socket with its name, or without one", () => {
  const SOCKET = "socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0)";
  deepEqual(
    callsOf(
      [1, { ...plain, name: name("s") }, undefined, [message(4, name("c")), message(5)]],
      [2, { ...plain, name: name("c"), peer: 1 }],
    ),
    [
      SOCKET,
      SOCKET,
      "bind($0, {@s}, 4)",
      "bind($1, {@c}, 4)",
      "sendto($1, {4 bytes}, 4, MSG_DONTWAIT|MSG_NOSIGNAL, {@s}, 4)",
      SOCKET,
      "sendto($6, {5 bytes}, 5, MSG_DONTWAIT|MSG_NOSIGNAL, {@s}, 4)",
      "connect($1, {@s}, 4)",
      "close($6)",
    ],
  );
});

Deno.test("planDatagrams() reaches a socket without a name by the pair that both were", () => {
  deepEqual(
    callsOf([1, { ...plain, peer: 2 }], [2, plain, undefined, [message(4)]]),
    [
      "socketpair(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, [ends])",
      "connect([ends][0], {AF_UNSPEC}, 2)",
      "sendto([ends][4], {4 bytes}, 4, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    ],
  );
});

Deno.test("planDatagrams() connects an orphan that others send to to somebody who is closed", () => {
  const calls = callsOf(
    [1, { ...plain, name: name("s") }, { orphan: true }],
    [2, { ...plain, peer: 1 }],
  );
  deepEqual(calls.slice(3), [
    "connect($1, {@s}, 4)",
    "socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0)",
    "bind($4, {autobind}, 2)",
    "getsockname($4, [its name], [size])",
    "connect($0, [its name], [size][0])",
    "close($4)",
  ]);
});
