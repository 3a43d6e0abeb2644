/**
 * Connections of images of which this machine has an end already: there is one of each at a time, and who would build
 * another holds back the packets of that.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { type InetSocket, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { endText } from "./address.ts";
import { connectionKey, keyOfEnds } from "./connection_key.ts";
import { isConnecting } from "./plan_stream.ts";
import { endsOf } from "./plan_orphaned.ts";
import type { SavedSocket } from "./socket.ts";

/**
 * Those that say nothing against another one: of connections that were closed (TIME_WAIT) the kernel takes the place
 * (tcp_twsk_unique() of `net/ipv4/tcp_ipv4.c`).
 */
const FREE: readonly number[] = [TCP.CLOSE, TCP.LISTEN, TCP.TIME_WAIT];

/** Looks for them. @throws {StasisError} `kernel-too-old`, `syscall` */
export function liveProblems(saved: readonly SavedSocket[]): Omit<Problem, "plugin">[] {
  const connections = [
    ...saved.filter((socket) =>
      socket.stream !== undefined || socket.isConnected && isConnecting(socket)
    ),
    ...saved.flatMap(({ orphaned, entry }) =>
      orphaned.map(endsOf).map(({ from, to }) => ({ own: from, peer: to, entry }))
    ),
  ];
  if (connections.length === 0) return [];
  const { byInode, nobodys } = readInetSockets(IPPROTO.TCP);
  return findLive(connections, [...byInode.values(), ...nobodys]);
}

/** Which of some connections are among some live sockets. Pure. */
export function findLive(
  saved: readonly Pick<SavedSocket, "own" | "peer" | "entry">[],
  live: readonly InetSocket[],
): Omit<Problem, "plugin">[] {
  const byKey = new Map(
    live.filter(({ state }) => !FREE.includes(state)).map((one) => [connectionKey(one), one]),
  );
  return saved.flatMap(({ own, peer, entry }) => {
    const other = byKey.get(keyOfEnds(own, peer));
    if (other === undefined) return [];
    const connection = `the connection of socket:[${entry.ino}] from ${
      endText(own.bytes, own.port)
    } to ${endText(peer.bytes, peer.port)}`;
    if (other.ino === 0) {
      return [{
        what: `${connection} is being closed on this machine still`,
        hint:
          "try again in a minute or two, when the kernel has given it up (ss -tan), or restore with --tcp-close",
      }];
    }
    return [{
      what: `${connection} is there already: socket:[${other.ino}]`,
      hint: "end the program that has it (ss -tanp tells which), or restore with --tcp-close",
    }];
  });
}
