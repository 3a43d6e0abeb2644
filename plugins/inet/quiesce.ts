/**
 * Before a tree is stopped: connections that wait to be accepted, of which nobody can read what is in them, are left to
 * the program. Of one that is to end new ones are kept away meanwhile, and until it has ended: who connects asks again.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type InetSocket, IPPROTO, MOST_PORTS, TCP } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import type { QuiesceContext } from "../../core/plugin.ts";
import { closedMessages, NetworkLock, tableName } from "./network_lock.ts";
import { findWaiting, fromOutside, readableIf } from "./waiting_connections.ts";

/** For how long one that is half made is waited for (SYN_RECV), in milliseconds: its other end may never answer. */
const HALF_PATIENCE = 200;

/** What matters to who waits. */
export interface QuiesceOptions {
  /** Whether the program is to end; those from outside that wait at one that runs on do not matter. */
  readonly isToEnd: boolean;
  /** Whether packets may be held back: CAP_NET_ADMIN. */
  readonly mayHold: boolean;
  /** Whether the kernel's memory can be read, and so what was sent by those that wait. */
  readonly mayRead: () => boolean;
}

/**
 * Waits until a program has accepted the connections that cannot be saved, as long as it may take.
 *
 * @param sockets those of the tree, by inode
 * @returns whether it has
 */
export async function quiesce(
  sockets: ReadonlyMap<number, InetSocket>,
  { isToEnd, mayHold, mayRead }: QuiesceOptions,
  { undo, settle }: QuiesceContext,
): Promise<boolean> {
  const listeners = [...sockets.values()].filter(({ state }) => state === TCP.LISTEN);
  if (listeners.length === 0) return true;
  if (isToEnd && mayHold) closeDoors(listeners, undo);
  const ports = new Set(listeners.map(({ source }) => source.port));
  const asked = ports.size > MOST_PORTS ? undefined : [...ports];
  return await settle((elapsed) => {
    const { byInode, nobodys } = readInetSockets(IPPROTO.TCP, [], { ports: asked });
    const now = new Map([...byInode].filter(([ino]) => sockets.has(ino)));
    const others = [...byInode.values()].filter(({ ino }) => !sockets.has(ino));
    const waiting = findWaiting(now, nobodys, { ...readableIf(mayRead), others });
    if (waiting.unreadable.size > 0) return false;
    if (!isToEnd) return true;
    const isWaiting = now.values().some((one) =>
      one.state === TCP.LISTEN && fromOutside(one, waiting) > 0
    );
    if (isWaiting) return false;
    return elapsed >= HALF_PATIENCE ||
      !nobodys.some(({ state, source }) => state === TCP.SYN_RECV && ports.has(source.port));
  });
}

/** Throws away what asks for new connections, until `undo` is disposed of. */
function closeDoors(listeners: readonly InetSocket[], undo: DisposableStack): void {
  const table = tableName();
  const addresses = listeners.map(({ source: { address: bytes, port } }) => ({ bytes, port }));
  try {
    const lock = new NetworkLock(table, closedMessages(table, addresses));
    undo.defer(() => lock.open());
  } catch (error) {
    // Without nf_tables, who connects after the last look is reset.
    if (!(error instanceof StasisError)) throw error;
  }
}
