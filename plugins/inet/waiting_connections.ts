/**
 * Connections that wait to be accepted by a socket of the tree. Nobody has a descriptor of such an end, so what was sent to
 * it lies in the kernel's memory alone. They are made anew where their other ends are in the tree, and where these are on
 * this machine and over: whoever had one has closed it, or has reset the connection.
 * So is one that the kernel holds half made until something comes by it (TCP_DEFER_ACCEPT): for the one that connected it
 * is there. Pure.
 *
 * @module
 */
import { type InetEnd, type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { Errno } from "../../core/linux/errno.ts";
import { isAny, needsScope } from "./address.ts";
import { connectionKey } from "./connection_key.ts";
import type { UnacceptedConnection } from "./kernel_sockets.ts";
import { onWire } from "./network_lock.ts";

/** A connection that waits to be accepted, whose other end is over. */
export interface OrphanedConnection {
  /** Its own end, and that of who has connected. */
  readonly source: InetEnd;
  readonly target: InetEnd;
  /** What was sent by it. */
  readonly received: Uint8Array<ArrayBuffer>;
  /** Whether the other end's end of data has come. */
  readonly end: boolean;
  /** Whether it was reset, behind that. */
  readonly reset: boolean;
}

/** Those that are made anew. */
export interface Waiting {
  /** How many of them wait at a listening socket, by its inode. */
  readonly atListener: ReadonlyMap<number, number>;
  /** What their other ends have sent, by the inodes of those. */
  readonly clients: ReadonlyMap<number, Uint8Array<ArrayBuffer>>;
  /** Those whose other ends are over, by the inode of the listening socket. */
  readonly orphaned: ReadonlyMap<number, readonly OrphanedConnection[]>;
  /** Other ends of half made ones by which something was sent: what becomes of that nobody knows. */
  readonly halfMade: ReadonlySet<number>;
  /**
   * How many wait at a listening socket, by its inode, that cannot be made anew though somebody of the tree may have
   * connected them: by which something was sent that nobody can read.
   */
  readonly unreadable: ReadonlyMap<number, number>;
  /** The other ends of those that are in the tree, by inode. */
  readonly lone: ReadonlySet<number>;
}

/** There are none. */
export const NONE_WAITS: Waiting = {
  atListener: new Map(),
  clients: new Map(),
  orphaned: new Map(),
  halfMade: new Set(),
  unreadable: new Map(),
  lone: new Set(),
};

/** What is known of what waits, beside the sockets. */
export interface WaitingSight {
  /** The sockets of others on this machine that are connected. */
  readonly others: readonly InetSocket[];
  /** What was sent by one that waits at a listening socket; undefined where that is not known. */
  received(one: InetSocket, listener: InetSocket): Uint8Array<ArrayBuffer> | undefined;
  /** What waits at a listening socket and is over, which nobody lists. */
  over(listener: InetSocket): readonly UnacceptedConnection[];
}

const NOTHING_KNOWN: WaitingSight = { others: [], received: () => undefined, over: () => [] };
const NOTHING = new Uint8Array(0);

/** What is known while a tree still runs: whether what was sent can be read. */
export function readableIf(isReadable: () => boolean): WaitingSight {
  return { ...NOTHING_KNOWN, received: () => isReadable() ? NOTHING : undefined };
}

/**
 * Finds them.
 *
 * @param sockets those of the tree, by inode
 * @param nobodys those that nobody has a descriptor of
 */
export function findWaiting(
  sockets: ReadonlyMap<number, InetSocket>,
  nobodys: readonly InetSocket[],
  sight: WaitingSight = NOTHING_KNOWN,
): Waiting {
  const all = [...sockets.values()];
  // A connection is of the one with its address before it is of one that takes any.
  const listeners = all.filter(({ state }) => state === TCP.LISTEN)
    .sort((a, b) =>
      Number(isAny(onWire(a.source.address))) - Number(isAny(onWire(b.source.address)))
    );
  const atListener = new Map<number, number>(), unreadable = new Map<number, number>();
  const clients = new Map<number, Uint8Array<ArrayBuffer>>();
  const orphaned = new Map<number, OrphanedConnection[]>();
  const halfMade = new Set<number>(), lone = new Set<number>();
  if (listeners.length === 0) return NONE_WAITS;
  const byKey = new Map(all.map((one) => [connectionKey(one), one]));
  const closing = new Map(
    nobodys.filter(({ state }) => !mayWait(state)).map((one) => [connectionKey(one), one.state]),
  );
  const others = new Set(sight.others.map(connectionKey));
  const count = (counts: Map<number, number>, { ino }: InetSocket): void =>
    void counts.set(ino, (counts.get(ino) ?? 0) + 1);
  const isOver = (one: InetSocket, key: string): boolean =>
    one.state === TCP.CLOSE_WAIT && !others.has(key) &&
    (closing.get(key) === TCP.FIN_WAIT2 || !closing.has(key) && isWithinMachine(one));
  const addOrphaned = ({ ino }: InetSocket, one: OrphanedConnection): void => {
    const before = orphaned.get(ino) ?? [];
    orphaned.set(ino, [...before, one]);
  };
  for (const one of nobodys) {
    const isHalf = one.state === TCP.SYN_RECV;
    if (!isHalf && !mayWait(one.state)) continue;
    const listener = listeners.find((listener) => isAt(one, listener));
    if (listener === undefined) continue;
    const key = connectionKey({ source: one.target, target: one.source });
    const client = byKey.get(key);
    // One that is still connecting is asked again anyway.
    if (client?.state === TCP.SYN_SENT) continue;
    const received = (): Uint8Array<ArrayBuffer> | undefined =>
      isEmpty(one) ? NOTHING : sight.received(one, listener);
    if (client === undefined) {
      if (isHalf || !closing.has(key) && !isOver(one, key)) continue;
      const bytes = isOver(one, key) && canBeOrphaned(one, listener) ? received() : undefined;
      if (bytes !== undefined) {
        addOrphaned(listener, { ...one, received: bytes, end: true, reset: false });
      }
      count(bytes === undefined ? unreadable : atListener, listener);
      continue;
    }
    if (isHalf) {
      if (isFresh(client)) clients.set(client.ino, NOTHING);
      else halfMade.add(client.ino);
      continue;
    }
    const bytes = isAllThere(client, one) ? received() : undefined;
    if (bytes === undefined) {
      count(unreadable, listener);
      lone.add(client.ino);
      continue;
    }
    clients.set(client.ino, bytes);
    // The half made ones are not among those that it can accept.
    count(atListener, listener);
  }
  for (const listener of listeners) {
    for (const one of sight.over(listener)) {
      const made = asReset(one);
      if (made === undefined || !canBeOrphaned(one, listener)) continue;
      addOrphaned(listener, made);
      count(atListener, listener);
    }
  }
  return { atListener, clients, orphaned, halfMade, unreadable, lone };
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

/** Whether all that somebody of the tree has sent has come to the other end, its end of data as well. */
function isAllThere({ state, sendQueue }: InetSocket, other: InetSocket): boolean {
  const isClosing = state === TCP.FIN_WAIT2 && other.state === TCP.CLOSE_WAIT;
  return sendQueue === 0 &&
    (isClosing || state === TCP.ESTABLISHED && other.state === TCP.ESTABLISHED);
}

/** Whether nothing was sent by a connection that waits: the end of data has a number like a byte. */
function isEmpty({ state, receiveQueue }: InetSocket): boolean {
  return receiveQueue === (state === TCP.CLOSE_WAIT ? 1 : 0);
}

/** Whether a connection is as it was when it was made, as far as one can see from outside. */
function isFresh({ state, receiveQueue, sendQueue, shutdown }: InetSocket): boolean {
  return state === TCP.ESTABLISHED && receiveQueue === 0 && sendQueue === 0 && shutdown === 0;
}

/**
 * Whether a connection has both its ends on this machine for sure: to one of its own addresses it goes from the same one,
 * unless somebody chooses another.
 */
function isWithinMachine(
  { source, target }: { readonly source: InetEnd; readonly target: InetEnd },
): boolean {
  const [own, other] = [onWire(source.address), onWire(target.address)];
  return own.byteLength === other.byteLength && own.every((byte, at) => byte === other[at]) ||
    other.byteLength === 4 && other[0] === 127;
}

/** Whether somebody else could connect so once more: without keys of its own, and at no interface of its own. */
function canBeOrphaned(
  { source, target }: { readonly source: InetEnd; readonly target: InetEnd },
  { md5Keys }: InetSocket,
): boolean {
  return md5Keys === undefined && !needsScope(source.address) && !needsScope(target.address);
}

/** What has become of one that is over; undefined where no reset on this machine has done that, or it is not known. */
function asReset(one: UnacceptedConnection): OrphanedConnection | undefined {
  const { state, error, end, received } = one;
  const isReset = state === TCP.CLOSE && error === (end ? Errno.EPIPE : Errno.ECONNRESET);
  if (!isReset || received === undefined || !isWithinMachine(one)) return undefined;
  return { source: one.source, target: one.target, received, end, reset: true };
}

/** Whether a connection is one of a listening socket, of which it has the family, whoever has connected. */
function isAt({ family, source }: InetSocket, { family: own, source: at }: InetSocket): boolean {
  if (family !== own || source.port !== at.port) return false;
  const [address, bound] = [onWire(source.address), onWire(at.address)];
  return isAny(bound) ||
    address.byteLength === bound.byteLength &&
      address.every((byte, index) => byte === bound[index]);
}
