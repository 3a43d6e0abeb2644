import { ok } from "@std/assert";
import { type InetSocket, IPPROTO } from "./inet_diag.ts";
import { readInetSockets } from "./sock_diag.ts";

const hostname = "127.0.0.1";

/** Sockets of which one end has a port. Others on this machine may have one of the same number. */
function having(port: number): InetSocket[] {
  const sockets = [...readInetSockets(IPPROTO.TCP, [], { ports: [port] }).byInode.values()];
  ok(sockets.every(({ source, target }) => source.port === port || target.port === port));
  return sockets;
}

Deno.test("readInetSockets() tells of the sockets that have a port at either end, and of no others", async () => {
  using listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  using client = await Deno.connect({ hostname, port });
  using _server = await listener.accept();
  const own = (client.localAddr as Deno.NetAddr).port;
  const is = (from: number, to: number) => ({ source, target }: InetSocket): boolean =>
    source.port === from && target.port === to;
  ok(having(port).some(is(port, 0)));
  for (const one of [port, own]) {
    const sockets = having(one);
    ok(sockets.some(is(port, own)));
    ok(sockets.some(is(own, port)));
  }
  // Of many ports each is looked for.
  const ports = [1, own, 2, port, 3];
  const { byInode } = readInetSockets(IPPROTO.TCP, [], { ports });
  const found = [...byInode.values()];
  ok(found.some(is(port, 0)));
  ok(found.some(is(own, port)));
});
