/**
 * Which sockets of the images have to be made together. Pure.
 *
 * @module
 */
import { SOCK, STATE } from "../../core/linux/net/unix_diag.ts";
import type { ImageBytes } from "../../core/restore/image_bytes.ts";
import type { unix_extra_entry, unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import { nameKey } from "./name.ts";
import type { Sender } from "./queue.ts";

/** A message that is to wait in a socket. */
export interface Message {
  readonly bytes: Uint8Array | ImageBytes;
  /** Who sent it, where that is known. */
  readonly sender?: Sender;
  /** The name of the socket that sent it; absent or empty: it has none. */
  readonly from?: Uint8Array;
  /** The open files that come with it (SCM_RIGHTS), by their ids; absent: none. */
  readonly rights?: readonly number[];
  /** It is the urgent byte of a stream (MSG_OOB). */
  readonly urgent?: boolean;
}

/** A socket of the images. */
export interface SavedSocket {
  readonly entry: unix_sk_entry;
  readonly extra: unix_extra_entry | undefined;
  /** What is to wait in it, oldest first. */
  readonly queue: readonly Message[];
  /** The name outside of the tree that it is to be connected to. */
  readonly outside?: Uint8Array;
}

/** Of `uflags`: the socket is outside of the tree, and only its name is there. */
export const UNIX_EXTERN = 1;

/** Two ends of a connection that a listening socket accepted. */
export interface Connection {
  /** The end that was accepted: it has the listening socket's name. */
  readonly server: SavedSocket;
  /** The end that connected; absent: it is closed. */
  readonly client?: SavedSocket;
}

/** Sockets that are made together, in one task. */
export type Group =
  /** Connected to each other. */
  | { readonly kind: "pair"; readonly sockets: readonly [SavedSocket, SavedSocket] }
  /** Its peer is closed. */
  | { readonly kind: "widow"; readonly sockets: readonly [SavedSocket] }
  /** Never connected. */
  | { readonly kind: "single"; readonly sockets: readonly [SavedSocket] }
  /** A connection that waits to be accepted by another group's socket. */
  | {
    readonly kind: "waiting";
    readonly sockets: readonly [SavedSocket];
    readonly listener: SavedSocket;
  }
  /** All connections that one socket accepted, and itself unless it is closed. */
  | {
    readonly kind: "service";
    readonly sockets: readonly SavedSocket[];
    readonly listener?: SavedSocket;
    readonly connections: readonly Connection[];
  }
  /** Connections that one task has made to a socket at which another one listens. */
  | {
    readonly kind: "met";
    readonly sockets: readonly SavedSocket[];
    readonly listener: SavedSocket;
    readonly connections: readonly Connection[];
  }
  /** Connected to a name outside of the tree. */
  | { readonly kind: "outside"; readonly sockets: readonly [SavedSocket] }
  /** SOCK_DGRAM sockets that send to each other in any way. */
  | {
    readonly kind: "datagrams";
    readonly sockets: readonly SavedSocket[];
    /** Sockets that are gone, by whose names messages were sent. */
    readonly senders: readonly SavedSocket[];
  };

/**
 * Takes those connections out of a service that were made by other tasks than the one that listens: what is told of the
 * other end (SO_PEERCRED) is who called connect(2) and listen(2).
 *
 * @param isTask whether a process is there to do so
 */
export function partService(
  group: Group & { readonly kind: "service" },
  isTask: (pid: number) => boolean,
): Group[] {
  const { listener, connections } = group;
  const maker = listener?.extra?.peer?.pid;
  const listens = (listener?.entry.shutdown ?? 0) === 0;
  if (listener === undefined || maker === undefined || !listens || !isTask(maker)) return [group];
  const byMaker = Map.groupBy(connections, ({ server }) => {
    const pid = server.extra?.peer?.pid ?? maker;
    return isTask(pid) ? pid : maker;
  });
  const own = byMaker.get(maker) ?? [];
  byMaker.delete(maker);
  return [
    { kind: "service", sockets: [listener, ...endsOf(own)], listener, connections: own },
    ...byMaker.values().map((connections): Group => ({
      kind: "met",
      sockets: endsOf(connections),
      listener,
      connections,
    })),
  ];
}

function endsOf(connections: readonly Connection[]): SavedSocket[] {
  return connections.flatMap(({ server, client }) => client ? [server, client] : [server]);
}

/** Whether open files are to lie in the queues of a group: it is filled when all of these are there. */
export function hasRights({ sockets }: Group): boolean {
  return sockets.some(({ queue }) => queue.some(({ rights = [] }) => rights.length > 0));
}

/**
 * The tasks that have sent messages of a group, as the receivers are told, and are none of a tree.
 *
 * @param pids those of the tree
 */
export function strangeSenders({ sockets }: Group, pids: ReadonlySet<number>): Set<number> {
  const senders = sockets.flatMap(({ queue }) => queue.flatMap(({ sender }) => sender?.pid ?? []));
  return new Set(senders).difference(pids);
}

/** One that belongs to no group that can be made: why. */
export interface Misfit {
  readonly socket: SavedSocket;
  /** One clause: "its peer is not in the images". */
  readonly why: string;
}

/** Puts sockets into groups. */
export function groupSockets(
  sockets: readonly SavedSocket[],
): { readonly groups: Group[]; readonly misfits: Misfit[] } {
  const grouper = new Grouper(sockets);
  for (const socket of sockets) grouper.add(socket);
  return grouper.finish();
}

/** A service while its connections are found. */
interface Service {
  listener?: SavedSocket;
  readonly connections: Connection[];
}

class Grouper {
  readonly #byInode: ReadonlyMap<number, SavedSocket>;
  /** By the inode of a socket those that have it as their peer. */
  readonly #senders: ReadonlyMap<number, readonly SavedSocket[]>;
  readonly #groups: Group[] = [];
  readonly #misfits: Misfit[] = [];
  readonly #services = new Map<string, Service>();
  readonly #listening: ReadonlySet<string>;
  readonly #datagrams: SavedSocket[] = [];
  readonly #done = new Set<SavedSocket>();

  constructor(sockets: readonly SavedSocket[]) {
    this.#byInode = new Map(sockets.map((socket) => [socket.entry.ino, socket]));
    this.#senders = Map.groupBy(sockets, ({ entry }) => entry.peer);
    this.#listening = new Set(
      sockets.filter(({ entry }) => entry.state === STATE.LISTEN).map(serviceKey),
    );
  }

  add(socket: SavedSocket): void {
    if (this.#done.has(socket)) return;
    this.#done.add(socket);
    const { uflags, state, peer, type, name } = socket.entry;
    if (uflags !== 0) {
      return this.#misfit(socket, "it was connected to something outside of the tree");
    }
    const other = this.#byInode.get(peer);
    if (socket.outside !== undefined) {
      if (type === SOCK.DGRAM) this.#datagrams.push(socket);
      else this.#groups.push({ kind: "outside", sockets: [socket] });
      return;
    }
    if (peer !== 0 && other === undefined) {
      return this.#misfit(socket, "its peer is not in the images");
    }
    if (type === SOCK.DGRAM) return this.#addDatagram(socket, other);
    if (state === STATE.LISTEN) {
      this.#service(socket).listener = socket;
    } else if (state !== STATE.ESTABLISHED) {
      this.#groups.push({ kind: "single", sockets: [socket] });
    } else if (other === undefined) {
      if (name.byteLength === 0) this.#groups.push({ kind: "widow", sockets: [socket] });
      else this.#service(socket).connections.push({ server: socket });
    } else if (other.entry.state === STATE.LISTEN) {
      this.#groups.push({ kind: "waiting", sockets: [socket], listener: other });
    } else if (other === socket || other.entry.peer !== socket.entry.ino) {
      this.#misfit(socket, "its peer is connected to another one");
    } else {
      this.#done.add(other);
      this.#connect(socket, other);
    }
  }

  finish(): { readonly groups: Group[]; readonly misfits: Misfit[] } {
    for (const { listener, connections } of this.#services.values()) {
      const ends = endsOf(connections);
      const sockets = listener === undefined ? ends : [listener, ...ends];
      this.#groups.push({ kind: "service", sockets, listener, connections });
    }
    if (this.#datagrams.length > 0) {
      const sockets = this.#datagrams;
      this.#groups.push({ kind: "datagrams", sockets, senders: goneSenders(sockets) });
    }
    return { groups: this.#groups, misfits: this.#misfits };
  }

  #addDatagram(socket: SavedSocket, other: SavedSocket | undefined): void {
    const { ino } = socket.entry;
    const plain = isPlain(socket);
    if (plain && other === undefined && !this.#isReached(ino)) {
      const widow = socket.extra?.orphan === true;
      if (widow || socket.queue.length === 0) {
        this.#groups.push({ kind: widow ? "widow" : "single", sockets: [socket] });
        return;
      }
    }
    const mutual = other !== undefined && other !== socket && other.entry.peer === ino;
    if (mutual && plain && isPlain(other) && !this.#isReached(ino, other.entry.ino)) {
      this.#done.add(other);
      this.#groups.push({ kind: "pair", sockets: [socket, other] });
      return;
    }
    this.#datagrams.push(socket);
  }

  /** Whether anybody but these two sends to one of them. */
  #isReached(ino: number, partner = ino): boolean {
    return [ino, partner].some((peer) =>
      this.#senders.get(peer)?.some(({ entry }) => entry.ino !== ino && entry.ino !== partner)
    );
  }

  /** The end with the name of a listening socket was accepted by it; or else the one that has a name at all. */
  #connect(one: SavedSocket, other: SavedSocket): void {
    if (one.entry.name.byteLength === 0 && other.entry.name.byteLength === 0) {
      this.#groups.push({ kind: "pair", sockets: [one, other] });
      return;
    }
    const ends = [one, other];
    const server = ends.find((end) => this.#listening.has(serviceKey(end))) ??
      ends.find(({ entry }) => entry.name.byteLength > 0) as SavedSocket;
    const client = server === one ? other : one;
    this.#service(server).connections.push({ server, client });
  }

  #service(socket: SavedSocket): Service {
    const key = serviceKey(socket);
    let service = this.#services.get(key);
    if (service === undefined) this.#services.set(key, service = { connections: [] });
    return service;
  }

  #misfit(socket: SavedSocket, why: string): void {
    this.#misfits.push({ socket, why });
  }
}

/** Sockets that had names by which messages were sent, and that are none of these. */
function goneSenders(sockets: readonly SavedSocket[]): SavedSocket[] {
  const known = new Set(sockets.map(({ entry }) => nameKey(entry.name)));
  const gone: SavedSocket[] = [];
  for (const { entry, queue } of sockets) {
    for (const { from } of queue) {
      if (from === undefined || from.byteLength === 0 || known.has(nameKey(from))) continue;
      known.add(nameKey(from));
      // No file has such an id. If its name is a path, that is to be seen by nobody.
      const id = -1 - gone.length;
      const named = { id, name: from, nameDir: "/", deleted: true, filePerms: undefined };
      gone.push({ entry: { ...entry, ...named }, extra: undefined, queue: [] });
    }
  }
  return gone;
}

/** Whether neither it nor the senders of its messages have a name. */
function isPlain({ entry, queue }: SavedSocket): boolean {
  return entry.name.byteLength === 0 && queue.every(({ from }) => !from?.byteLength);
}

/** What a listening socket and those that it accepted have in common. */
function serviceKey({ entry: { type, name, nameDir, deleted }, extra }: SavedSocket): string {
  const where = extra?.filePath || nameDir;
  return `${type} ${where ?? ""} ${deleted === true} ${nameKey(name)}`;
}
