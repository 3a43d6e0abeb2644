import { equal, match } from "@std/assert";
import { AF_INET, type InetSocket, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { SOCK } from "./protocol.ts";
import type { SocketState } from "./state.ts";
import { connectionKey } from "./connection_key.ts";
import { isOver, socketProblem, type Surroundings, unlisted } from "./survey.ts";
import { NONE_WAITS, type Waiting } from "./waiting_connections.ts";

const end = (last: number, port: number) => ({ address: Uint8Array.of(127, 0, 0, last), port });

function socketOf(state: number, init: Partial<InetSocket> = {}): InetSocket {
  return {
    ino: 7,
    family: AF_INET,
    state,
    source: end(1, 80),
    target: end(2, 4711),
    device: 0,
    receiveQueue: 0,
    sendQueue: 0,
    shutdown: 0,
    ...init,
  };
}

function problem(
  socket: InetSocket,
  { inside = [], holders = [], mayRepair = true, runs = false, waiting = NONE_WAITS }: {
    waiting?: Waiting;
    runs?: boolean;
    inside?: readonly string[];
    holders?: readonly number[];
    mayRepair?: boolean;
  } = {},
  options: Parameters<typeof socketProblem>[2] = {},
): string | undefined {
  const surroundings: Surroundings = {
    sockets: new Map([[socket.ino, socket]]),
    inside: new Set(inside),
    hidden: false,
    waiting,
    mayRepair,
    runs,
    accepts: false,
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
  // Those from outside matter to a tree that is to end, and stands still: it cannot accept them any more.
  equal(problem(listening, {}, { leaveRunning: true }), undefined);
  equal(problem(listening, { runs: true }), undefined);
  match(problem(listening, { runs: true, mayRepair: false }) ?? "", /2 connections that wait/);
  const unreadable = { ...NONE_WAITS, unreadable: new Map([[7, 1]]) };
  match(
    problem(listening, { waiting: unreadable, runs: true }, { leaveRunning: true }) ?? "",
    /1 connections that wait .* have something in them/,
  );
  // A program may listen for fewer than wait.
  const waiting = { ...NONE_WAITS, atListener: new Map([[7, 2]]) };
  match(problem(listening, { waiting }) ?? "", /more than it takes by now \(listen\(2\) with 0\)/);
  equal(problem({ ...listening, sendQueue: 1 }, { waiting }), undefined);
});

Deno.test("socketProblem() refuses who has sent something to an end that is half made", () => {
  const waiting = { ...NONE_WAITS, halfMade: new Set([7]) };
  const sent = socketOf(TCP.ESTABLISHED, { sendQueue: 1 });
  match(problem(sent, { waiting }, { tcpEstablished: true }) ?? "", /is half made \(SYN_RECV\)/);
});

Deno.test("socketProblem() asks what is to become of an end whose other one is left out", () => {
  const waiting = { ...NONE_WAITS, lone: new Set([7]) };
  const sent = socketOf(TCP.ESTABLISHED, { sendQueue: 1 });
  equal(problem(sent, { waiting }), undefined);
  match(problem(sent, { waiting }, { skipInFlight: true }) ?? "", /and is left out/);
  for (const what of ["tcpEstablished", "tcpClose"]) {
    equal(problem(sent, { waiting }, { skipInFlight: true, [what]: true }), undefined);
  }
});

Deno.test("socketProblem() refuses connections, and them alone, without CAP_NET_ADMIN", () => {
  const socket = socketOf(TCP.ESTABLISHED);
  const inside = [connectionKey({ source: socket.target, target: socket.source })];
  const [lacking, lacks] = [{ inside, mayRepair: false }, /cannot be read without CAP_NET_ADMIN/];
  match(problem(socket, lacking) ?? "", lacks);
  match(problem(socket, { mayRepair: false }, { tcpEstablished: true }) ?? "", lacks);
  equal(problem(socket, lacking, { tcpClose: true }), undefined);
  equal(problem(socketOf(TCP.LISTEN), lacking), undefined);
});

Deno.test("unlisted() finds sockets that the kernel should have listed", () => {
  const tcp = { family: AF_INET, type: SOCK.STREAM, protocol: IPPROTO.TCP };
  const udp = { family: AF_INET, type: SOCK.DGRAM, protocol: IPPROTO.UDP };
  const info = (state: number) => ({
    kind: tcp,
    own: undefined,
    info: { state, options: 0, sendScale: 0, receiveScale: 0, waiting: 0, backlog: 0 },
  });
  const bound = (port: number) => ({
    kind: udp,
    own: { family: AF_INET, port, bytes: new Uint8Array(4), scope: 0 },
    info: undefined,
  });
  const states = new Map<number, Pick<SocketState, "kind" | "own" | "info">>([
    [1, info(TCP.ESTABLISHED)],
    [2, info(TCP.CLOSE)],
    [3, info(TCP.LISTEN)],
    [4, bound(0)],
    [5, bound(53)],
    [6, { ...bound(0), kind: { ...udp, type: SOCK.RAW } }],
  ]);
  equal(unlisted(states, new Map([[3, true]])).join(" "), "1 5");
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
