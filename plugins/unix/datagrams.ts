/**
 * The calls that make SOCK_DGRAM sockets which send to each other in any way: several to one, in a ring, by name.
 * Pure.
 *
 * The kernel lets nobody send to a socket that is connected to somebody else (unix_may_send() of
 * `net/unix/af_unix.c`). So all of them are made and named first, then filled, and connected last: each when all are
 * connected to it that are to be.
 *
 * @module
 */
import { AF_UNIX } from "../../core/linux/net/socket_ffi.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { planAddress, planBind, planConnect } from "./bind.ts";
import type { Group, SavedSocket } from "./group.ts";
import { planMessage, planQueue } from "./message.ts";
import { nameKey } from "./name.ts";
import { planRoom } from "../../core/restore/socket_options.ts";
import {
  type Made,
  type MadeGroup,
  type Means,
  planConnectOutside,
  planEnds,
  planRest,
  planSocket,
  type UsedDescriptor,
} from "./socket.ts";

/** How a socket of the group gets what waits in it, and its peer. */
type Course =
  /** It is an end of a pair, and its peer the other one. */
  | "pair"
  /** It has no name: the one that is connected to it (or nobody any more) was an end of a pair with it. */
  | "reached"
  /** Its peer is closed, and nobody else sends to it. */
  | "widow"
  /** By its name. */
  | "named";

/** Adds the calls that make the sockets, with their names. */
export function planDatagrams(
  program: SyscallProgram,
  { sockets, senders }: Group & { readonly kind: "datagrams" },
  means: Means,
): MadeGroup {
  const group = new Datagrams(program, sockets, senders, means);
  const made = group.make();
  return { made, used: group.used(), fill: (program, at) => group.fill(program, at) };
}

class Datagrams {
  #program: SyscallProgram;
  readonly #sockets: readonly SavedSocket[];
  /** Those that are gone. */
  readonly #senders: readonly SavedSocket[];
  readonly #means: Means;
  readonly #byInode: ReadonlyMap<number, SavedSocket>;
  readonly #byName: ReadonlyMap<string, SavedSocket>;
  /** By the inode of a socket those that are connected to it. */
  readonly #connected: ReadonlyMap<number, readonly SavedSocket[]>;
  readonly #fds = new Map<SavedSocket, Argument>();
  /** Where a descriptor is by now. */
  #at: (fd: Argument) => Argument = (fd) => fd;
  /** Of each that has no name or no living peer: the other end of the pair that it was made in. */
  readonly #partners = new Map<SavedSocket, Argument>();
  /** Ends that are nobody's, closed at the end. */
  readonly #spare: Argument[] = [];
  /** One without a name, for messages of such. */
  #nameless: Argument | undefined;

  constructor(
    program: SyscallProgram,
    sockets: readonly SavedSocket[],
    senders: readonly SavedSocket[],
    means: Means,
  ) {
    this.#program = program;
    this.#sockets = sockets;
    this.#senders = senders;
    this.#means = means;
    this.#byInode = new Map(sockets.map((socket) => [socket.entry.ino, socket]));
    this.#byName = new Map(
      [...sockets, ...senders].map((socket) => [nameKey(socket.entry.name), socket]),
    );
    this.#connected = Map.groupBy(sockets, ({ entry }) => entry.peer);
  }

  make(): Made {
    for (const socket of this.#sockets) this.#make(socket);
    for (const socket of this.#sockets) {
      planBind(this.#program, this.#fd(socket), socket, this.#means);
    }
    for (const sender of this.#senders) {
      const fd = planSocket(this.#program, sender);
      planBind(this.#program, fd, sender, this.#means);
      this.#fds.set(sender, fd);
      this.#spare.push(fd);
    }
    return new Map(this.#sockets.map((socket) => [socket.entry.id, this.#fd(socket)]));
  }

  used(): readonly UsedDescriptor[] {
    return [
      ...this.#sockets.map((socket) => ({ fd: this.#fd(socket), spare: false })),
      ...this.#spare.map((fd) => ({ fd, spare: true })),
    ];
  }

  fill(program: SyscallProgram, at: (fd: Argument) => Argument): void {
    this.#program = program;
    this.#at = at;
    for (const socket of this.#sockets) this.#fill(socket);
    for (const socket of connectOrder(this.#sockets)) this.#connect(socket);
    for (const fd of this.#spare) program.call("close", at(fd));
    if (this.#nameless !== undefined) program.call("close", this.#nameless);
    for (const socket of this.#sockets) {
      planRest(program, this.#fd(socket), socket, this.#means);
    }
  }

  #course(socket: SavedSocket): Course {
    const { entry: { ino, peer, name }, extra, queue } = socket;
    const other = this.#byInode.get(peer);
    if (other !== undefined && other !== socket && other.entry.peer === ino) return "pair";
    const reached = this.#connected.get(ino)?.some((one) => one !== socket) ?? false;
    if (name.byteLength === 0 && (reached || queue.length > 0)) return "reached";
    const foreign = queue.some(({ from }) => from !== undefined && from.byteLength > 0);
    if (extra?.orphan === true && !reached && !foreign) return "widow";
    return "named";
  }

  #make(socket: SavedSocket): void {
    if (this.#fds.has(socket)) return;
    const course = this.#course(socket);
    if (course === "named") {
      // One that is connected to a socket without a name is made together with that.
      const other = this.#byInode.get(socket.entry.peer);
      if (other !== undefined && this.#course(other) === "reached") this.#make(other);
      if (this.#fds.has(socket)) return;
      this.#fds.set(socket, planSocket(this.#program, socket));
      return;
    }
    const [one, other] = planEnds(this.#program, socket);
    this.#fds.set(socket, one);
    const partner = course === "pair"
      ? this.#byInode.get(socket.entry.peer)
      : this.#connected.get(socket.entry.ino)?.find((found) => found !== socket);
    if (partner === undefined || course === "widow") this.#spare.push(other);
    else this.#fds.set(partner, other);
    if (course !== "pair") this.#partners.set(socket, other);
    if (course === "reached") planForget(this.#program, one);
  }

  #fill(socket: SavedSocket): void {
    const { entry, queue } = socket;
    if (queue.length === 0) return;
    const program = this.#program;
    const means = this.#means;
    if (this.#course(socket) === "pair") {
      const partner = this.#fd(this.#byInode.get(entry.peer) as SavedSocket);
      return planQueue(program, partner, queue, means);
    }
    const partner = this.#partners.get(socket);
    if (partner !== undefined) return planQueue(program, this.#at(partner), queue, means);
    const to = planAddress(program, entry, means.place(socket));
    for (const message of queue) {
      planMessage(program, this.#sender(message.from), message, means, to);
    }
  }

  /** Who sends a message with this name. */
  #sender(from: Uint8Array | undefined): Argument {
    const { limits } = this.#means;
    if (from === undefined || from.byteLength === 0) {
      if (this.#nameless === undefined) {
        this.#nameless = planSocket(this.#program, this.#sockets[0] as SavedSocket);
        planRoom(this.#program, this.#nameless, limits);
      }
      return this.#nameless;
    }
    const sender = this.#byName.get(nameKey(from)) as SavedSocket;
    planRoom(this.#program, this.#fd(sender), limits);
    return this.#fd(sender);
  }

  #connect(socket: SavedSocket): void {
    const { entry: { peer }, extra } = socket;
    const program = this.#program;
    if (socket.outside !== undefined) {
      return planConnectOutside(program, this.#fd(socket), socket);
    }
    if (this.#course(socket) === "pair" || this.#course(socket) === "widow") return;
    const other = this.#byInode.get(peer);
    if (other !== undefined) {
      // The end of a pair is connected already.
      if (this.#course(other) === "reached") return;
      planConnect(program, this.#fd(socket), other.entry, this.#means.place(other));
    } else if (extra?.orphan === true) {
      // To somebody with a name that the kernel gives (autobind), who is closed at once.
      const gone = planSocket(program, socket);
      program.call("bind", gone, program.data(Uint8Array.of(AF_UNIX, 0), "autobind"), 2);
      const address = program.output(NAME_ROOM, "its name");
      const size = program.output(new Uint8Array(new Uint32Array([NAME_ROOM]).buffer), "size");
      program.call("getsockname", gone, address, size);
      program.call("connect", this.#fd(socket), address, size.int(0));
      program.call("close", gone);
    }
  }

  #fd(socket: SavedSocket): Argument {
    return this.#at(this.#fds.get(socket) as Argument);
  }
}

const NAME_ROOM = 112;

/** Adds the call that makes a socket have no peer any more; what waits in it is thrown away. */
function planForget(program: SyscallProgram, fd: Argument): void {
  const AF_UNSPEC = new Uint8Array(2);
  program.call("connect", fd, program.data(AF_UNSPEC, "AF_UNSPEC"), AF_UNSPEC.byteLength);
}

/** The sockets, each behind all that are connected to it. Rings that no order can make come in any. */
export function connectOrder(sockets: readonly SavedSocket[]): SavedSocket[] {
  const ordered = new Set<SavedSocket>();
  const visit = (socket: SavedSocket, above: ReadonlySet<SavedSocket>): void => {
    if (ordered.has(socket) || above.has(socket)) return;
    const within = new Set([...above, socket]);
    for (const one of sockets) {
      if (one.entry.peer === socket.entry.ino && one !== socket) visit(one, within);
    }
    ordered.add(socket);
  };
  for (const socket of sockets) visit(socket, new Set());
  return [...ordered];
}
