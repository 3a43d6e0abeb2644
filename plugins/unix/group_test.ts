import { deepEqual, equal, match } from "@std/assert";
import { SHUTDOWN, STATE } from "../../core/linux/unix_diag.ts";
import { groupSockets } from "./group.ts";
import { sampleSocket } from "./sample_sockets.ts";

Deno.test("groupSockets() finds who is connected to whom", () => {
  const { groups, misfits } = groupSockets([
    sampleSocket(1, { peer: 3 }),
    sampleSocket(2, { shutdown: SHUTDOWN.BOTH }),
    sampleSocket(3, { peer: 1 }),
    sampleSocket(4, { state: STATE.CLOSE }),
  ]);
  deepEqual(groups.map(({ kind, sockets }) => [kind, ...sockets.map(({ entry }) => entry.ino)]), [
    ["pair", 1, 3],
    ["widow", 2],
    ["single", 4],
  ]);
  equal(misfits.length, 0);
});

Deno.test("groupSockets() says why a socket cannot be made", () => {
  const why = (...sockets: Parameters<typeof sampleSocket>[]): string => {
    const { groups, misfits } = groupSockets(sockets.map((one) => sampleSocket(...one)));
    equal(groups.length + misfits.length, sockets.length);
    return misfits[0]?.why ?? "";
  };
  match(why([1, { peer: 9 }]), /not in the images/);
  match(why([1, { peer: 1 }]), /another one/);
  match(why([1, { peer: 2 }], [2, { state: STATE.CLOSE }]), /another one/);
  match(why([1, { uflags: 1 }]), /outside of the tree/);
});
