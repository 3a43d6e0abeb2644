import { equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { AF_INET, type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { sk_opts_entrySchema } from "../../images/gen/sockets_pb.ts";
import { sampleConnection } from "./sample_sockets.ts";
import type { SavedSocket } from "./socket.ts";
import { isInTheWay } from "./taken.ts";

const live = (state: number, device = 0): InetSocket => ({
  ino: 9,
  family: AF_INET,
  state,
  source: { address: Uint8Array.of(127, 0, 0, 1), port: 80 },
  target: { address: new Uint8Array(4), port: 0 },
  device,
  receiveQueue: 0,
  sendQueue: 0,
  shutdown: 0,
});

const saved: SavedSocket = sampleConnection(TCP.LISTEN).socket;

Deno.test("isInTheWay() counts who listens and who is bound, and no connections", () => {
  equal(isInTheWay(live(TCP.LISTEN), saved, 0), true);
  equal(isInTheWay(live(TCP.BOUND_INACTIVE), saved, 0), true);
  equal(isInTheWay(live(TCP.ESTABLISHED), saved, 0), false);
});

Deno.test("isInTheWay() tells interfaces apart", () => {
  equal(isInTheWay(live(TCP.LISTEN, 1), saved, 2), false);
  equal(isInTheWay(live(TCP.LISTEN, 1), saved, 1), true);
  equal(isInTheWay(live(TCP.LISTEN, 0), saved, 1), true);
  equal(isInTheWay(live(TCP.LISTEN, 1), saved, 0), true);
});

Deno.test("isInTheWay() leaves those alone that share their port", () => {
  const opts = create(sk_opts_entrySchema, { soReuseport: true });
  equal(isInTheWay(live(TCP.LISTEN), { ...saved, entry: { ...saved.entry, opts } }, 0), false);
});
