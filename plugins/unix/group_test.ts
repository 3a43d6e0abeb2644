import { deepEqual, equal, match } from "@std/assert";
import { SHUTDOWN, SOCK, STATE } from "../../core/linux/net/unix_diag.ts";
import { groupSockets, partService, type SavedSocket, strangeSenders } from "./group.ts";
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

const NAME = new TextEncoder().encode("\0name");
const PATH = new TextEncoder().encode("/run/x\0");

/** Kinds and inodes. */
const shape = (...sockets: Parameters<typeof sampleSocket>[]) =>
  groupSockets(sockets.map((one) => sampleSocket(...one))).groups
    .map(({ kind, sockets }) => [kind, ...sockets.map(({ entry }) => entry.ino)]);

Deno.test("groupSockets() puts what was accepted to the socket that listens, server first", () => {
  const { groups } = groupSockets([
    sampleSocket(1, { peer: 2, name: NAME }),
    sampleSocket(2, { peer: 1, name: PATH }),
    sampleSocket(3, { state: STATE.LISTEN, name: PATH }),
    sampleSocket(4, { name: PATH, shutdown: SHUTDOWN.BOTH }),
    sampleSocket(5, { peer: 3 }),
    sampleSocket(6, { state: STATE.LISTEN, name: PATH, deleted: true }),
  ]);
  deepEqual(groups.map(({ kind, sockets }) => [kind, ...sockets.map(({ entry }) => entry.ino)]), [
    ["waiting", 5],
    ["service", 3, 2, 1, 4],
    ["service", 6],
  ]);
  const [, service] = groups;
  equal(service?.kind === "service" && service.connections[0]?.client?.entry.ino, 1);
});

Deno.test("groupSockets() makes a service of connections whose listening socket is closed", () => {
  deepEqual(shape([1, { peer: 2, name: NAME }], [2, { peer: 1 }], [3, { name: NAME }]), [
    ["service", 1, 2, 3],
  ]);
});

Deno.test("groupSockets() keeps datagram sockets together that others send to", () => {
  const type = SOCK.DGRAM;
  const queue = [{ bytes: new Uint8Array(1) }];
  deepEqual(shape([1, { type, peer: 2 }], [2, { type, peer: 1 }]), [["pair", 1, 2]]);
  deepEqual(shape([1, { type, peer: 2 }], [2, { type, peer: 1 }], [3, { type, peer: 1 }]), [
    ["datagrams", 1, 2, 3],
  ]);
  deepEqual(shape([1, { type }, { orphan: true }], [2, { type, state: STATE.CLOSE }]), [
    ["widow", 1],
    ["single", 2],
  ]);
  deepEqual(shape([1, { type, name: NAME }], [2, { type }, undefined, queue]), [
    ["datagrams", 1, 2],
  ]);
});

Deno.test("partService() has other tasks make their own connections, if they are there and somebody listens", () => {
  const name = Uint8Array.of(0, 7);
  const peer = (pid: number) => ({ peer: { pid, uid: 0, gid: 0, groups: [] } });
  const listener = sampleSocket(1, { state: STATE.LISTEN, name }, peer(10));
  const server = (ino: number, pid: number) => sampleSocket(ino, { name }, peer(pid));
  const [own, theirs, more, gone] = [[2, 10], [3, 11], [4, 11], [5, 12]].map(([ino, pid]) =>
    server(ino!, pid!)
  ) as [SavedSocket, SavedSocket, SavedSocket, SavedSocket];
  const connections = [own, theirs, more, gone].map((server) => ({ server }));
  const service = { kind: "service", sockets: [listener, own, theirs, more, gone] } as const;
  const isTask = (pid: number) => pid === 10 || pid === 11;
  const parts = partService({ ...service, listener, connections }, isTask);
  deepEqual(parts.map(({ kind, sockets }) => [kind, sockets]), [
    ["service", [listener, own, gone]],
    ["met", [theirs, more]],
  ]);
  const whole = (group: Parameters<typeof partService>[0], there = isTask) =>
    deepEqual(partService(group, there), [group]);
  whole({ ...service, connections });
  whole({ ...service, listener, connections }, (pid) => pid === 11);
  whole({ ...service, listener: sampleSocket(1, { shutdown: 3 }, peer(10)), connections });
});

Deno.test("strangeSenders() finds who has sent something and is none of the tree", () => {
  const from = (pid: number) => ({ bytes: new Uint8Array(1), sender: { pid, uid: 0, gid: 0 } });
  const queue = [from(10), { bytes: new Uint8Array(1) }, from(20), from(20)];
  const sockets = [sampleSocket(1, {}, undefined, queue)] as const;
  deepEqual([...strangeSenders({ kind: "widow", sockets }, new Set([10]))], [20]);
});
