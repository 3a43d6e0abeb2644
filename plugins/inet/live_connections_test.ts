import { equal, match } from "@std/assert";
import { AF_INET, type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { findLive } from "./live_connections.ts";
import { sampleConnection } from "./sample_sockets.ts";

Deno.test("findLive() finds connections that are there, and those that are being closed", () => {
  const { socket } = sampleConnection(TCP.ESTABLISHED);
  const live = (init: Partial<InetSocket>): InetSocket => ({
    ino: 99,
    family: AF_INET,
    state: TCP.ESTABLISHED,
    source: { address: socket.own.bytes, port: socket.own.port },
    target: { address: socket.peer.bytes, port: socket.peer.port },
    device: 0,
    receiveQueue: 0,
    sendQueue: 0,
    shutdown: 0,
    ...init,
  });
  const found = (one: InetSocket): string | undefined => findLive([socket], [one])[0]?.what;
  match(found(live({})) ?? "", /from 127\.0\.0\.1:80 to 127\.0\.0\.2:4711 is there already/);
  match(found(live({ ino: 0, state: TCP.FIN_WAIT1 })) ?? "", /is being closed on this machine/);
  equal(found(live({ ino: 0, state: TCP.TIME_WAIT })), undefined);
  // The other end of it is no hindrance.
  const { source, target } = live({});
  equal(found(live({ source: target, target: source })), undefined);
});
