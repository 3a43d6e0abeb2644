/**
 * Connections that wait to be accepted by a socket of the tree. Nobody has a descriptor of such an end, so what was sent to
 * it lies in the kernel's memory alone. They are made anew where their other ends are in the tree.
 * So is one that the kernel holds half made until something comes by it (TCP_DEFER_ACCEPT): for the one that connected it
 * is there. Pure.
 *
 * @module
 */
import { type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { isAny } from "./address.ts";
import { connectionKey } from "./connection_key.ts";
import { onWire } from "./network_lock.ts";

/** Those that are made anew. */
export interface Waiting {
  /** How many of them wait at a listening socket, by its inode. */
  readonly atListener: ReadonlyMap<number, number>;
  /** Their other ends, by inode. */
  readonly clients: ReadonlySet<number>;
  /** Other ends of half made ones by which something was sent: what becomes of that nobody knows. */
  readonly halfMade: ReadonlySet<number>;
  /**
   * How many wait at a listening socket, by its inode, that cannot be made anew though somebody of the tree may have
   * connected them: by which something was sent, or whose other end nobody has any more.
   */
  readonly unreadable: ReadonlyMap<number, number>;
  /** The other ends of those that are in the tree, by inode. */
  readonly lone: ReadonlySet<number>;
}

/** There are none. */
export const NONE_WAITS: Waiting = {
  atListener: new Map(),
  clients: new Set(),
  halfMade: new Set(),
  unreadable: new Map(),
  lone: new Set(),
};

/**
 * Finds them.
 *
 * @param sockets those of the tree, by inode
 * @param nobodys those that nobody has a descriptor of
 * @param isReadable whether what one has sent is known, or can be
 */
export function findWaiting(
  sockets: ReadonlyMap<number, InetSocket>,
  nobodys: readonly InetSocket[],
  isReadable: (client: InetSocket, listener: InetSocket) => boolean = () => false,
): Waiting {
  const all = [...sockets.values()];
  // A connection is of the one with its address before it is of one that takes any.
  const listeners = all.filter(({ state }) => state === TCP.LISTEN)
    .sort((a, b) =>
      Number(isAny(onWire(a.source.address))) - Number(isAny(onWire(b.source.address)))
    );
  const atListener = new Map<number, number>(), unreadable = new Map<number, number>();
  const clients = new Set<number>(), halfMade = new Set<number>(), lone = new Set<number>();
  if (listeners.length === 0) return NONE_WAITS;
  const byKey = new Map(all.map((one) => [connectionKey(one), one]));
  const closed = new Set(nobodys.filter(({ state }) => !mayWait(state)).map(connectionKey));
  const count = (counts: Map<number, number>, { ino }: InetSocket): void =>
    void counts.set(ino, (counts.get(ino) ?? 0) + 1);
  for (const one of nobodys) {
    const isHalf = one.state === TCP.SYN_RECV;
    if (!isHalf && !mayWait(one.state)) continue;
    const listener = listeners.find((listener) => isAt(one, listener));
    if (listener === undefined) continue;
    const key = connectionKey({ source: one.target, target: one.source });
    const client = byKey.get(key);
    // One that is still connecting is asked again anyway.
    if (client?.state === TCP.SYN_SENT) continue;
    const isNew = client !== undefined && isFresh(client) && (isHalf || isFresh(one));
    const isKnown = isNew || !isHalf && client !== undefined && isOpen(client) && isOpen(one) &&
        isReadable(client, listener);
    if (client === undefined || !isKnown) {
      if (!isHalf && (client !== undefined || closed.has(key))) {
        count(unreadable, listener);
        if (client !== undefined) lone.add(client.ino);
      } else if (client !== undefined) halfMade.add(client.ino);
      continue;
    }
    clients.add(client.ino);
    // The half made ones are not among those that it can accept.
    if (!isHalf) count(atListener, listener);
  }
  return { atListener, clients, halfMade, unreadable, lone };
}

/** How many wait at a listening socket that were connected from outside of the tree. */
export function fromOutside(
  { ino, receiveQueue }: InetSocket,
  { atListener, unreadable }: Waiting,
): number {
  return Math.max(receiveQueue - (atListener.get(ino) ?? 0) - (unreadable.get(ino) ?? 0), 0);
}

/** Whether a connection that nobody has may wait to be accepted. One that was closed here is in another state. */
function mayWait(state: number): boolean {
  return state === TCP.ESTABLISHED || state === TCP.CLOSE_WAIT;
}

/** Whether a connection has sent something, and goes on. */
function isOpen({ state, shutdown }: InetSocket): boolean {
  return state === TCP.ESTABLISHED && shutdown === 0;
}

/** Whether a connection is as it was when it was made, as far as one can see from outside. */
function isFresh({ state, receiveQueue, sendQueue, shutdown }: InetSocket): boolean {
  return state === TCP.ESTABLISHED && receiveQueue === 0 && sendQueue === 0 && shutdown === 0;
}

/** Whether a connection is one of a listening socket, of which it has the family, whoever has connected. */
function isAt({ family, source }: InetSocket, { family: own, source: at }: InetSocket): boolean {
  if (family !== own || source.port !== at.port) return false;
  const [address, bound] = [onWire(source.address), onWire(at.address)];
  return isAny(bound) ||
    address.byteLength === bound.byteLength &&
      address.every((byte, index) => byte === bound[index]);
}
