/**
 * Which unix sockets cannot be saved, and why. Pure.
 *
 * @module
 */
import type { Problem } from "../../core/errors.ts";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/unix_diag.ts";
import { nameText } from "./name.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/** What is known of all sockets. */
export interface Surroundings {
  /** All unix sockets of the network namespace, by inode. */
  readonly sockets: ReadonlyMap<number, UnixSocket>;
  /** The inodes of those that the tree has and that are saved. */
  readonly inside: ReadonlySet<number>;
  /** The processes outside of the tree that have a socket open. */
  holders(ino: number): readonly number[];
}

/** One descriptor of a socket. */
export interface SocketDescriptor {
  readonly fd: number;
  readonly ino: number;
  /** Descriptors that are in flight in its queue, as far as the kernel tells. */
  readonly inFlight: number;
}

/** Says why a socket cannot be saved; undefined if it can. */
export function socketProblem(
  { fd, ino, inFlight }: SocketDescriptor,
  { sockets, inside, holders }: Surroundings,
): Finding | undefined {
  const what = `its descriptor ${fd} (socket:[${ino}])`;
  const external =
    `name it with --external 'socket:[${ino}]', and at restore what stands in for it ` +
    "with --inherit-fd";
  const socket = sockets.get(ino);
  if (socket === undefined) {
    return {
      what: `${what} is a unix socket of another network namespace`,
      hint: `close it before the checkpoint, or ${external}`,
    };
  }
  const [holder] = holders(ino);
  if (holder !== undefined) {
    return {
      what: `${what} is a unix socket that task ${holder} outside of the tree has open too`,
      hint: `checkpoint both together, or ${external}`,
    };
  }
  if (inFlight > 0) {
    return {
      what:
        `${what} is a unix socket with descriptors of open files waiting in its queue (SCM_RIGHTS)`,
      hint: "they cannot be saved yet: try again when the program has received them",
    };
  }
  if (socket.state === STATE.LISTEN || socket.name.byteLength > 0) {
    return {
      what: `${what} is a unix socket with the name ${nameText(socket.name)}`,
      hint:
        `sockets with names cannot be saved yet: close it before the checkpoint, or ${external}`,
    };
  }
  return peerProblem(socket, what, external, { sockets, inside, holders });
}

function peerProblem(
  socket: UnixSocket,
  what: string,
  external: string,
  { sockets, inside, holders }: Surroundings,
): Finding | undefined {
  const { ino, type, peer, shutdown } = socket;
  if (peer === undefined) return undefined;
  if (peer === 0) {
    // A peer that closed has shut down both directions; one that has not accepted yet has none.
    if (type === SOCK.DGRAM || shutdown === SHUTDOWN.BOTH) return undefined;
    return {
      what: `${what} is a unix socket whose connection waits to be accepted`,
      hint: "try again when it has been",
    };
  }
  const other = sockets.get(peer);
  if (!inside.has(peer)) {
    const [holder] = holders(peer);
    const name = other === undefined || other.name.byteLength === 0
      ? ""
      : ` (${nameText(other.name)})`;
    return holder === undefined
      ? {
        what:
          `${what} is a unix socket whose other end${name} nobody has open that can be seen: it ` +
          "waits in a queue, or is held in another pid namespace",
        hint: external,
      }
      : {
        what:
          `${what} is a unix socket whose other end${name} is outside of the tree: task ${holder} has it`,
        hint: `checkpoint both together, or ${external}`,
      };
  }
  if (other?.peer !== ino) {
    return {
      what:
        `${what} is a unix socket that sends to socket:[${peer}], which does not send back to it`,
      hint: "such sockets cannot be saved yet: close it before the checkpoint",
    };
  }
  return undefined;
}
