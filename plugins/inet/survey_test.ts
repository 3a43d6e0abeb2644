import { equal, match } from "@std/assert";
import { AF_INET, type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { connectionKey, isOver, socketProblem, type Surroundings } from "./survey.ts";

const end = (last: number, port: number) => ({ address: Uint8Array.of(127, 0, 0, last), port });

function socketOf(state: number, init: Partial<InetSocket> = {}): InetSocket {
  return {
    ino: 7,
    family: AF_INET,
    state,
    source: end(1, 80),
    target: end(2, 4711),
    receiveQueue: 0,
    sendQueue: 0,
    shutdown: 0,
    ...init,
  };
}

function problem(
  socket: InetSocket,
  { inside = [], holders = [] }: { inside?: readonly string[]; holders?: readonly number[] } = {},
  options: Parameters<typeof socketProblem>[2] = {},
): string | undefined {
  const surroundings: Surroundings = {
    sockets: new Map([[socket.ino, socket]]),
    inside: new Set(inside),
    holders: () => holders,
    nameOf: (pid) => `task ${pid}`,
  };
  return socketProblem({ fd: 3, ino: 7, kind: "TCP socket" }, surroundings, options)?.what;
}

Deno.test("socketProblem() asks for the user's word for connections to outside alone", () => {
  const socket = socketOf(TCP.ESTABLISHED);
  match(problem(socket) ?? "", /from 127\.0\.0\.1:80 to 127\.0\.0\.2:4711, outside of the tree/);
  equal(problem(socket, {}, { tcpEstablished: true }), undefined);
  equal(problem(socket, {}, { tcpClose: true }), undefined);
  const other = connectionKey({ source: socket.target, target: socket.source });
  equal(problem(socket, { inside: [other] }), undefined);
  // One that is being made holds nobody up.
  equal(problem(socketOf(TCP.SYN_SENT)), undefined);
  match(problem(socket, { holders: [99] }, { tcpEstablished: true }) ?? "", /task 99 outside/);
});

Deno.test("socketProblem() refuses connections that wait, unless they are to be left out", () => {
  const listening = socketOf(TCP.LISTEN, { receiveQueue: 2 });
  match(problem(listening) ?? "", /2 connections that wait/);
  equal(problem(listening, {}, { skipInFlight: true }), undefined);
  equal(problem(socketOf(TCP.LISTEN)), undefined);
});

Deno.test("connectionKey() is the same of IPv4 and of IPv4 over IPv6", () => {
  const mapped = (last: number, port: number) => ({
    address: Uint8Array.fromHex(`00000000000000000000ffff7f00000${last}`),
    port,
  });
  equal(
    connectionKey({ source: end(1, 80), target: end(2, 81) }),
    connectionKey({ source: mapped(1, 80), target: mapped(2, 81) }),
  );
});

Deno.test("isOver() tells connections of nobody from which nothing comes any more", () => {
  equal(isOver(socketOf(TCP.FIN_WAIT2)), true);
  equal(isOver(socketOf(TCP.TIME_WAIT)), true);
  equal(isOver(socketOf(TCP.FIN_WAIT1, { sendQueue: 5 })), false);
  equal(isOver(socketOf(TCP.ESTABLISHED)), false);
});
