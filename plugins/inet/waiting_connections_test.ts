import { deepEqual, equal } from "@std/assert";
import { AF_INET, AF_INET6, type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { Errno } from "../../core/linux/errno.ts";
import type { UnacceptedConnection } from "./kernel_sockets.ts";
import { findWaiting, fromOutside, readableIf } from "./waiting_connections.ts";

const four = (port: number, last = 1) => ({ address: Uint8Array.of(127, 0, 0, last), port });
const any = (port: number) => ({ address: new Uint8Array(16), port });
const mapped = (port: number) => ({
  address: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1),
  port,
});

function socketOf(init: Partial<InetSocket>): InetSocket {
  return {
    ino: 0,
    family: AF_INET,
    state: TCP.ESTABLISHED,
    source: four(0),
    target: four(0),
    device: 0,
    receiveQueue: 0,
    sendQueue: 0,
    shutdown: 0,
    ...init,
  };
}

const LISTENER = socketOf({
  ino: 7,
  family: AF_INET6,
  state: TCP.LISTEN,
  source: any(80),
  target: any(0),
  receiveQueue: 1,
});
const CLIENT = socketOf({ ino: 8, source: four(4711), target: four(80) });
const WAITS = socketOf({ family: AF_INET6, source: mapped(80), target: mapped(4711) });

function found(client: InetSocket, waits: InetSocket, listener = LISTENER): number {
  const sockets = new Map([client, listener].map((one) => [one.ino, one]));
  const { atListener, clients } = findWaiting(sockets, [waits]);
  equal(atListener.get(listener.ino) ?? 0, clients.size);
  return clients.size;
}

Deno.test("findWaiting() pairs who has connected with who waits to be accepted", () => {
  equal(found(CLIENT, WAITS), 1);
  const sockets = new Map([LISTENER, CLIENT].map((one) => [one.ino, one]));
  deepEqual([...findWaiting(sockets, [WAITS]).clients.keys()], [CLIENT.ino]);
});

Deno.test("findWaiting() takes none by which something was sent, that is closed, or whose ends are others'", () => {
  equal(found(CLIENT, { ...WAITS, receiveQueue: 1 }), 0);
  equal(found({ ...CLIENT, sendQueue: 1 }, WAITS), 0);
  equal(found({ ...CLIENT, state: TCP.FIN_WAIT2, shutdown: 2 }, WAITS), 0);
  equal(found(CLIENT, { ...WAITS, state: TCP.CLOSE_WAIT }), 0);
  equal(found({ ...CLIENT, source: four(4712) }, WAITS), 0);
  equal(found(CLIENT, WAITS, { ...LISTENER, source: four(80, 2) }), 0);
  equal(found(CLIENT, WAITS, { ...LISTENER, source: any(81) }), 0);
});

Deno.test("findWaiting() counts what nobody can read apart from what comes from outside", () => {
  const listener = { ...LISTENER, receiveQueue: 3 };
  const count = (nobodys: InetSocket[]) => {
    const sockets = new Map([CLIENT, listener].map((one) => [one.ino, one]));
    const waiting = findWaiting(sockets, nobodys);
    return [waiting.unreadable.get(listener.ino) ?? 0, fromOutside(listener, waiting)];
  };
  const stranger = { ...WAITS, target: mapped(4712), receiveQueue: 5 };
  deepEqual(count([WAITS, stranger]), [0, 2]);
  deepEqual(count([{ ...WAITS, receiveQueue: 1 }, stranger]), [1, 2]);
  const sockets = new Map([CLIENT, listener].map((one) => [one.ino, one]));
  deepEqual([...findWaiting(sockets, [{ ...WAITS, receiveQueue: 1 }]).lone], [CLIENT.ino]);
  // Whoever had the other end has closed it.
  const other = socketOf({ state: TCP.FIN_WAIT2, source: four(4712), target: four(80) });
  deepEqual(count([WAITS, { ...stranger, state: TCP.CLOSE_WAIT }, other]), [1, 1]);
  // The kernel is closing one that was accepted.
  deepEqual(count([{ ...stranger, state: TCP.FIN_WAIT2 }, { ...other, state: TCP.CLOSE_WAIT }]), [
    0,
    3,
  ]);
});

Deno.test("findWaiting() takes such as are half made for the one that listens alone", () => {
  const listener = { ...LISTENER, receiveQueue: 0 };
  const half = { ...WAITS, state: TCP.SYN_RECV };
  const of = (client: InetSocket) =>
    findWaiting(new Map([client, listener].map((one) => [one.ino, one])), [half]);
  const { atListener, clients, halfMade } = of(CLIENT);
  deepEqual([[...clients.keys()], atListener.size, halfMade.size], [[CLIENT.ino], 0, 0]);
  const sent = of({ ...CLIENT, sendQueue: 1 });
  deepEqual([sent.clients.size, [...sent.halfMade]], [0, [CLIENT.ino]]);
});

Deno.test("findWaiting() finds the listener of the same family, one with the address first", () => {
  const listening = { state: TCP.LISTEN, target: four(0), receiveQueue: 1 };
  const anyFour = { address: new Uint8Array(4), port: 80 };
  const general = socketOf({ ...listening, ino: 1, source: anyFour });
  const exact = socketOf({ ...listening, ino: 2, source: four(80) });
  const waits = socketOf({ source: four(80), target: four(4711) });
  const sockets = new Map([LISTENER, general, exact, CLIENT].map((one) => [one.ino, one]));
  deepEqual([...findWaiting(sockets, [waits]).atListener], [[2, 1]]);
  sockets.delete(2);
  deepEqual([...findWaiting(sockets, [waits]).atListener], [[1, 1]]);
  deepEqual([...findWaiting(sockets, [WAITS]).atListener], [[LISTENER.ino, 1]]);
});

Deno.test("findWaiting() takes one by which something was sent where that is known, and which goes on", () => {
  const clients = (client: InetSocket, waits: InetSocket, known: boolean) => {
    const sockets = new Map([client, LISTENER].map((one) => [one.ino, one]));
    return [...findWaiting(sockets, [waits], readableIf(() => known)).clients.keys()];
  };
  const full = { ...WAITS, receiveQueue: 5 };
  deepEqual(clients(CLIENT, full, true), [CLIENT.ino]);
  deepEqual(clients(CLIENT, full, false), []);
  // Its end of data has not come yet, or it is the other way round.
  deepEqual(clients({ ...CLIENT, state: TCP.FIN_WAIT2, shutdown: 2 }, full, true), []);
  deepEqual(clients(CLIENT, { ...full, state: TCP.CLOSE_WAIT }, true), []);
});

Deno.test("findWaiting() takes one whose other end in the tree has shut down, where all that was sent has come", () => {
  const clients = (client: InetSocket, waits: InetSocket, known: boolean) => {
    const sockets = new Map([client, LISTENER].map((one) => [one.ino, one]));
    const { clients, orphaned } = findWaiting(sockets, [waits], readableIf(() => known));
    equal(orphaned.size, 0);
    return [...clients.keys()];
  };
  const client = { ...CLIENT, state: TCP.FIN_WAIT2, shutdown: 2 };
  const waits = { ...WAITS, state: TCP.CLOSE_WAIT, receiveQueue: 6 };
  deepEqual(clients(client, waits, true), [CLIENT.ino]);
  deepEqual(clients(client, waits, false), []);
  // The end alone needs not be read.
  deepEqual(clients(client, { ...waits, receiveQueue: 1 }, false), [CLIENT.ino]);
  deepEqual(clients({ ...client, state: TCP.FIN_WAIT1, sendQueue: 1 }, waits, true), []);
});

Deno.test("findWaiting() takes one whose other end on this machine is closed, and none that somebody may have", () => {
  const waits = { ...WAITS, state: TCP.CLOSE_WAIT, receiveQueue: 6 };
  const other = socketOf({ state: TCP.FIN_WAIT2, source: four(4711), target: four(80) });
  const count = (nobodys: InetSocket[], others: InetSocket[] = [], listener = LISTENER) => {
    const sight = { ...readableIf(() => true), others };
    const waiting = findWaiting(new Map([[listener.ino, listener]]), nobodys, sight);
    const orphaned = waiting.orphaned.get(listener.ino)?.length ?? 0;
    equal(waiting.atListener.get(listener.ino) ?? 0, orphaned);
    return [orphaned, waiting.unreadable.get(listener.ino) ?? 0];
  };
  deepEqual(count([waits, other]), [1, 0]);
  // A minute later the kernel has forgotten it.
  deepEqual(count([waits]), [1, 0]);
  deepEqual(count([waits, { ...other, state: TCP.FIN_WAIT1 }]), [0, 1]);
  deepEqual(count([waits], [{ ...other, ino: 9 }]), [0, 0]);
  deepEqual(count([{ ...waits, state: TCP.ESTABLISHED }]), [0, 0]);
  const away = { address: Uint8Array.of(10, 0, 0, 2), port: 4711 };
  deepEqual(count([{ ...waits, target: away }]), [0, 0]);
  deepEqual(count([waits], [], { ...LISTENER, md5Keys: new Uint8Array(1) }), [0, 1]);
});

Deno.test("findWaiting() takes one that was reset on this machine, which the kernel does not list", () => {
  const one = {
    source: mapped(80),
    target: mapped(4711),
    state: TCP.CLOSE,
    error: Errno.ECONNRESET,
    end: false,
    received: Uint8Array.of(1),
  };
  const orphaned = (over: UnacceptedConnection) => {
    const sight = { ...readableIf(() => true), over: () => [over] };
    return findWaiting(new Map([[LISTENER.ino, LISTENER]]), [], sight).orphaned.get(LISTENER.ino);
  };
  const { source, target, received } = one;
  deepEqual(orphaned(one), [{ source, target, received, end: false, reset: true }]);
  equal(orphaned({ ...one, end: true }), undefined);
  equal(orphaned({ ...one, end: true, error: Errno.EPIPE })?.length, 1);
  equal(orphaned({ ...one, error: Errno.ETIMEDOUT }), undefined);
  equal(orphaned({ ...one, received: undefined }), undefined);
  equal(
    orphaned({ ...one, target: { address: Uint8Array.of(10, 0, 0, 2), port: 1 } }),
    undefined,
  );
});
