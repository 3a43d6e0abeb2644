/**
 * Which internet sockets cannot be saved, and why. Pure.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { endText } from "./address.ts";

/** What a survey finds. */
export type Finding = Omit<Problem, "plugin" | "pid">;

/** What is known of all sockets. */
export interface Surroundings {
  /** The connections and bound sockets of this network namespace, by inode. */
  readonly sockets: ReadonlyMap<number, InetSocket>;
  /** Those of the tree that are connections, by {@link connectionKey}. */
  readonly inside: ReadonlySet<string>;
  /** The processes outside of the tree that have a socket open. */
  holders(ino: number): readonly number[];
}

/** A connection as one of its ends sees it. */
export function connectionKey({ source, target }: Pick<InetSocket, "source" | "target">): string {
  return `${endText(source.address, source.port)} ${endText(target.address, target.port)}`;
}

/** Whether the other end of a connection is in the tree. */
export function isInside(socket: InetSocket, { inside }: Surroundings): boolean {
  return inside.has(connectionKey({ source: socket.target, target: socket.source }));
}

/** Says why a socket cannot be saved, as far as it is known without looking at it; undefined if it can. */
export function socketProblem(
  { fd, ino, kind }: { readonly fd: number; readonly ino: number; readonly kind: string },
  surroundings: Surroundings,
): Finding | undefined {
  const what = `its descriptor ${fd} (socket:[${ino}]) is a ${kind}`;
  const external =
    `name it with --external 'socket:[${ino}]', and at restore what stands in for it with --inherit-fd`;
  const [holder] = surroundings.holders(ino);
  if (holder !== undefined) {
    return {
      what: `${what} that task ${holder} outside of the tree has open too`,
      hint: `checkpoint both together, or ${external}`,
    };
  }
  const socket = surroundings.sockets.get(ino);
  if (socket === undefined || !kind.startsWith("TCP")) return undefined;
  const { state, source, target, receiveQueue } = socket;
  if (state === TCP.LISTEN) {
    if (receiveQueue === 0) return undefined;
    return {
      what: `${what} with ${receiveQueue} connections that wait to be accepted at ${
        endText(source.address, source.port)
      }`,
      hint: "try again when the program has accepted them",
    };
  }
  if (state === TCP.CLOSE) return undefined;
  return {
    what: `${what}, connected from ${endText(source.address, source.port)} to ${
      endText(target.address, target.port)
    }`,
    hint: `connections cannot be saved yet: close it, or ${external}`,
  };
}
