/**
 * Which unix sockets cannot be saved, and why. Pure.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import { externalHint, sharedHint } from "../../core/checkpoint/outside_holders.ts";
import type { Sent } from "./unaccepted.ts";
import { nameKey, nameText, pathOf } from "./name.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/** What is known of all sockets. */
export interface Surroundings {
  /** All unix sockets of the network namespace, by inode. */
  readonly sockets: ReadonlyMap<number, UnixSocket>;
  /** The inodes of those that the tree has and that are saved. */
  readonly inside: ReadonlySet<number>;
  /** Of each that waits to be accepted: the inode of the listening one. */
  readonly waiting: ReadonlyMap<number, number>;
  /** Whether what waits to be accepted and cannot be saved is left out. */
  readonly skipsWaiting: boolean;
  /** Whether connections from outside that wait to be accepted are left to the program, which runs on or still runs. */
  readonly acceptsLater: boolean;
  /** Whether sockets may be connected to names outside of the tree again. */
  readonly reconnects: boolean;
  /** Whether the tree had accepted all connections just before it was stopped. */
  readonly accepts: boolean;
  /** Whether the tree stands still: what was not there while it ran passes as well. */
  readonly stands: boolean;
  /** Whether a socket is one that the tree did not have when it was surveyed before it was stopped. */
  isNew(ino: number): boolean;
  /** Whether sockets of the tree may lie in the queues of others, and are not known yet. */
  readonly hidden: boolean;
  /** Of listening sockets: what was sent to the connections that wait, in their order, where the tree stands still. */
  readonly sent: ReadonlyMap<number, readonly Sent[]>;
  /** Whether that can be read, while the tree runs. */
  readonly mayRead: boolean;
  /** By what names messages can come again. */
  readonly senders: Senders;
  /** Tells whether a name leads to a socket outside of the tree, which may have lost its file. */
  leadsTo(name: Uint8Array): (socket: UnixSocket) => boolean;
  /** The processes outside of the tree that have a socket open. */
  holders(ino: number): readonly number[];
  /** A process by its id and name. */
  nameOf(pid: number): string;
}

/** Who can send to sockets of the tree. */
export interface Senders {
  /** The names that its sockets have, as {@link nameKey} has them. */
  readonly inside: ReadonlySet<string>;
  /** The names that any socket has. */
  readonly taken: ReadonlySet<string>;
  /** By the inode of a socket: one of the tree that is connected to it. */
  readonly partners: ReadonlyMap<number, UnixSocket>;
}

/** Finds who can send to sockets of the tree. @param inside the inodes of its sockets */
export function findSenders(
  sockets: ReadonlyMap<number, UnixSocket>,
  inside: ReadonlySet<number>,
): Senders {
  const own = [...inside].flatMap((ino) => sockets.get(ino) ?? []);
  return {
    inside: new Set(own.map(({ name }) => nameKey(name))),
    taken: new Set(sockets.values().map(({ name }) => nameKey(name))),
    partners: new Map(
      own.filter(({ ino, peer = 0 }) => peer !== 0 && peer !== ino).map((one) => [
        one.peer as number,
        one,
      ]),
    ),
  };
}

/** Of each socket that waits to be accepted: the inode of the listening one. */
export function findWaiting(sockets: ReadonlyMap<number, UnixSocket>): Map<number, number> {
  const waiting = new Map<number, number>();
  for (const { ino, waiting: clients } of sockets.values()) {
    for (const client of clients) if (client !== 0) waiting.set(client, ino);
  }
  return waiting;
}

/** One descriptor of a socket. */
export interface SocketDescriptor {
  readonly fd: number;
  readonly ino: number;
}

/** Says why a socket cannot be saved; undefined if it can. */
export function socketProblem(
  { fd, ino }: SocketDescriptor,
  surroundings: Surroundings,
): Finding | undefined {
  const { sockets, holders, nameOf } = surroundings;
  const what = `its descriptor ${fd} (socket:[${ino}]) is a unix socket`;
  const name = `socket:[${ino}]`;
  const external = sharedHint(name);
  const socket = sockets.get(ino);
  if (socket === undefined) {
    return {
      what: `${what} of another network namespace`,
      hint: `close it before the checkpoint, or ${externalHint(name)}`,
    };
  }
  const [holder] = holders(ino);
  if (holder !== undefined) {
    return {
      what: `${what} that ${nameOf(holder)} outside of the tree has open too`,
      hint: `checkpoint both together, or ${external}`,
    };
  }
  const found = socket.state === STATE.LISTEN
    ? listenProblem(socket, surroundings)
    : surroundings.waiting.has(ino) || isUnaccepted(socket)
    ? waitProblem(socket, surroundings)
    : peerProblem(socket, external, surroundings);
  return found === undefined ? undefined : { ...found, what: `${what} ${found.what}` };
}

const ACCEPT = "try again when the program has accepted it";

/** What waits to be accepted must be connected again by somebody of the tree. */
function listenProblem(
  { ino, waiting }: UnixSocket,
  surroundings: Surroundings,
): Finding | undefined {
  const { inside, hidden, skipsWaiting, acceptsLater, accepts, stands } = surroundings;
  const stranger = hidden || skipsWaiting
    ? undefined
    : waiting.find((client, place) =>
      client === 0 ? !isReadable(ino, place, surroundings) : !inside.has(client) && !acceptsLater
    );
  if (stranger === undefined) return undefined;
  return {
    // No system call tells what lies in the end that waits (sk_diag_dump() of `net/unix/diag.c`).
    what: stranger === 0
      ? "with a connection waiting to be accepted whose other end is closed: whether anything was sent is not known"
      : `with a connection waiting to be accepted from outside of the tree (socket:[${stranger}])`,
    hint: `${ACCEPT}, or leave it out with --skip-in-flight: it is reset when the tree ends`,
    passing: (stranger === 0 ? stands : accepts) || undefined,
  };
}

/** Whether what was sent to a connection that waits is known, or can be. @param ino the listening socket */
function isReadable(ino: number, place: number, { sent, mayRead, stands }: Surroundings): boolean {
  return stands ? sent.get(ino)?.[place] !== undefined : mayRead;
}

/** A peer that closed has shut down both directions; one that has not accepted yet has none. */
function isUnaccepted({ type, peer, shutdown }: UnixSocket): boolean {
  return peer === 0 && type !== SOCK.DGRAM && shutdown !== SHUTDOWN.BOTH;
}

function waitProblem(
  { ino, sendQueue }: UnixSocket,
  surroundings: Surroundings,
): Finding | undefined {
  const { sockets, inside, waiting, hidden, stands } = surroundings;
  const listener = sockets.get(waiting.get(ino) ?? 0);
  if (listener === undefined || !inside.has(listener.ino)) {
    if (hidden) return undefined;
    const name = listener === undefined ? "" : ` (${nameText(listener.name)})`;
    return {
      what: `whose connection waits to be accepted outside of the tree${name}`,
      hint: ACCEPT,
      passing: stands || undefined,
    };
  }
  // It lies in a socket that nobody has a descriptor of.
  if (sendQueue > 0 && !isReadable(listener.ino, listener.waiting.indexOf(ino), surroundings)) {
    return {
      what: "that has sent something to a connection that is not accepted yet",
      hint: ACCEPT,
      passing: stands || undefined,
    };
  }
  return undefined;
}

function peerProblem(
  { ino, type, peer = 0 }: UnixSocket,
  external: string,
  surroundings: Surroundings,
): Finding | undefined {
  const { sockets, inside, holders, nameOf, hidden, reconnects } = surroundings;
  if (peer === 0) return undefined;
  const other = sockets.get(peer);
  if (!inside.has(peer)) {
    const [holder] = holders(peer);
    if (holder === undefined && hidden) return undefined;
    if (reconnects) return reconnectProblem({ ino, type, peer }, surroundings);
    const name = other === undefined || other.name.byteLength === 0
      ? ""
      : ` (${nameText(other.name)})`;
    return holder === undefined
      ? {
        what:
          `whose other end${name} nobody has open that can be seen: it waits in a queue, or is held in ` +
          "another pid namespace",
        hint: external,
      }
      : {
        what: `whose other end${name} is outside of the tree: ${nameOf(holder)} has it`,
        passing: surroundings.isNew(ino) || undefined,
        hint: `checkpoint both together, or ${
          other !== undefined && other.name.byteLength > 0
            ? "have it connected to that name again: --ext-unix-sk; or "
            : ""
        }${external}`,
      };
  }
  if (type !== SOCK.DGRAM && other?.peer !== ino) {
    return {
      what: `that is connected to socket:[${peer}], which is connected to another one`,
      hint: "try again",
      passing: true,
    };
  }
  return undefined;
}

/** Why a socket cannot be connected to the name of its peer outside again. */
function reconnectProblem(
  { ino, type, peer }: Pick<UnixSocket, "ino" | "type"> & { readonly peer: number },
  { sockets, leadsTo }: Pick<Surroundings, "sockets" | "leadsTo">,
): Finding | undefined {
  const other = sockets.get(peer);
  const name = other?.name ?? new Uint8Array(0);
  const hint = externalHint(`socket:[${ino}]`);
  if (other === undefined || name.byteLength === 0) {
    return {
      what: "whose other end is outside of the tree and has no name to connect to again",
      hint,
    };
  }
  if (pathOf(name)?.startsWith("/") === false) {
    return {
      what: `whose other end outside of the tree has a name without a directory (${
        nameText(name)
      })`,
      hint,
    };
  }
  const isThere = leadsTo(name);
  if (type === SOCK.DGRAM) {
    if (!isThere(other)) {
      return {
        what: `whose other end outside of the tree cannot be reached by its name any more (${
          nameText(name)
        }): its file is deleted, or seen by others in that place`,
        hint,
      };
    }
    if ((other.peer ?? 0) === 0) return undefined;
    // Nobody else may connect to it then (unix_may_send() of net/unix/af_unix.c).
    return {
      what: `whose other end outside of the tree (${nameText(name)}) is connected too`,
      hint,
    };
  }
  const listens = sockets.values().some((one) =>
    one.state === STATE.LISTEN && one.type === type && isThere(one)
  );
  return listens ? undefined : {
    what: `whose other end (${nameText(name)}) is outside of the tree, and nobody listens there`,
    hint,
  };
}

/**
 * Why messages cannot come back from the sockets that sent them: what recvfrom(2) tells is the name of the sending
 * socket, so there must be one with that, free to send. One that is gone is made for that.
 *
 * @param names the names of the senders of what waits in it; empty ones have none
 */
export function senderProblem(
  { ino, type, name, peer = 0 }: UnixSocket,
  names: readonly Uint8Array[],
  { sockets, senders: { inside, taken, partners } }: Pick<Surroundings, "sockets" | "senders">,
): string | undefined {
  if (type !== SOCK.DGRAM || names.length === 0) return undefined;
  const other = sockets.get(peer);
  /** The one that alone can send to it, or that it was made with, which has no name any more where it is gone. */
  let only: Uint8Array | undefined;
  // The other end of a connection has its name, whatever that is.
  if (other?.peer === ino && peer !== ino) only = other.name;
  // One without a name is reached by its former partner alone.
  else if (name.byteLength === 0) only = partners.get(ino)?.name ?? new Uint8Array(0);
  const canSend = (from: Uint8Array): boolean => {
    const key = nameKey(from);
    if (only !== undefined) return key === nameKey(only);
    // A path can be had twice: where nobody sees it.
    return from.byteLength === 0 || inside.has(key) || pathOf(from) !== undefined ||
      !taken.has(key);
  };
  const stranger = names.find((from) => !canSend(from));
  return stranger === undefined
    ? undefined
    : `has a message in its queue from a socket with the name ${
      nameText(stranger)
    }, which cannot send to it again`;
}
