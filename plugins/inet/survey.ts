/**
 * Which internet sockets cannot be saved, and why. Pure.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { externalHint } from "../../core/checkpoint/outside_holders.ts";
import { type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import type { OperationOptions } from "../../core/plugin.ts";
import { endText } from "./address.ts";
import { connectionKey } from "./connection_key.ts";
import { isListed } from "./protocol.ts";
import type { SocketState } from "./state.ts";
import { hasStream } from "./tcp_info.ts";
import { fromOutside, type Waiting } from "./waiting_connections.ts";

/** What a survey finds. */
export type Finding = Omit<Problem, "plugin" | "pid">;

/** What is known of all sockets. */
export interface Surroundings {
  /** The connections and bound sockets of this network namespace, by inode. */
  readonly sockets: ReadonlyMap<number, InetSocket>;
  /** The connections of the tree, and those that are over for the other end, by {@link connectionKey}. */
  readonly inside: ReadonlySet<string>;
  /** The connections that wait to be accepted and are made anew. */
  readonly waiting: Waiting;
  /** Whether other ends may lie in queues of the tree (SCM_RIGHTS), and are not known yet. */
  readonly hidden: boolean;
  /** Whether this process may put connections into repair mode, and hold back packets: CAP_NET_ADMIN. */
  readonly mayRepair: boolean;
  /** Whether the tree still runs. */
  readonly runs: boolean;
  /** Whether it had accepted all connections just before it was stopped. */
  readonly accepts: boolean;
  /** The processes outside of the tree that have a socket open. */
  holders(ino: number): readonly number[];
  /** A process by its id and name. */
  nameOf(pid: number): string;
}

/** Whether a connection that nobody has is over: its program has closed it, and nothing of it is on its way. */
export function isOver({ state, sendQueue }: InetSocket): boolean {
  return state === TCP.FIN_WAIT2 || state === TCP.TIME_WAIT ||
    state === TCP.LAST_ACK && sendQueue === 0;
}

/** Whether nobody outside of the tree has the other end of a connection. */
export function isInside(socket: InetSocket, { inside }: Surroundings): boolean {
  return inside.has(connectionKey({ source: socket.target, target: socket.source }));
}

/**
 * The sockets that the kernel should have listed and has not: it gives a long list in pieces, and may skip some where
 * others end in between.
 */
export function unlisted(
  states: ReadonlyMap<number, Pick<SocketState, "kind" | "info" | "own">>,
  listed: ReadonlyMap<number, unknown>,
): number[] {
  return [...states].filter(([ino, { kind, info, own }]) =>
    !listed.has(ino) && isListed(kind) &&
    (info === undefined ? own !== undefined && own.port !== 0 : info.state !== TCP.CLOSE)
  ).map(([ino]) => ino);
}

/** Says why a socket cannot be saved, as far as it is known without looking at it; undefined if it can. */
export function socketProblem(
  { fd, ino, kind }: { readonly fd: number; readonly ino: number; readonly kind: string },
  surroundings: Surroundings,
  { tcpEstablished, tcpClose, skipInFlight, leaveRunning }: OperationOptions,
): Finding | undefined {
  const what = `its descriptor ${fd} (socket:[${ino}]) is a ${kind}`;
  const external = externalHint(`socket:[${ino}]`);
  const [holder] = surroundings.holders(ino);
  if (holder !== undefined) {
    return {
      what: `${what} that ${surroundings.nameOf(holder)} outside of the tree has open too`,
      hint: `checkpoint both together, or ${external}`,
    };
  }
  const socket = surroundings.sockets.get(ino);
  if (socket === undefined || !kind.startsWith("TCP")) return undefined;
  const { state, source, target, sendQueue } = socket;
  const { waiting } = surroundings;
  const { atListener, clients, halfMade, lone } = waiting;
  if (state === TCP.LISTEN) {
    const made = atListener.get(ino) ?? 0;
    // As many may wait as the backlog says, and one more (sk_acceptq_is_full() of `include/net/sock.h`).
    if (tcpClose !== true && made > sendQueue + 1) {
      return {
        what: `${what} with ${made} connections that wait to be accepted at ${
          endText(source.address, source.port)
        }, more than it takes by now (listen(2) with ${sendQueue})`,
        hint: "try again when the program has accepted them, or have them closed with --tcp-close",
      };
    }
    if (skipInFlight === true) return undefined;
    const hint =
      "try again when the program has accepted them, or leave them out with --skip-in-flight: they are reset when " +
      "the tree ends";
    const at = endText(source.address, source.port);
    const lost = (waiting.unreadable.get(ino) ?? 0) + (tcpClose === true ? made : 0);
    if (lost > 0) {
      return {
        what: `${what} with ${lost} connections that wait to be accepted at ${at}, and have ` +
          "something in them or are closed at the other end, which cannot be read",
        hint,
        passing: !surroundings.runs || undefined,
      };
    }
    const strangers = fromOutside(socket, waiting);
    // A program that runs on accepts them; one that is to end is given the time to (quiesce()).
    const areSeenTo = leaveRunning === true || surroundings.runs && surroundings.mayRepair;
    if (strangers === 0 || areSeenTo) return undefined;
    return {
      what: `${what} with ${strangers} connections that wait to be accepted at ${at}, from outside`,
      hint,
      passing: surroundings.accepts || undefined,
    };
  }
  if (!hasStream(state) || clients.has(ino) || tcpClose === true) return undefined;
  if (halfMade.has(ino)) {
    return {
      what: `${what}, whose other end in the tree is half made (SYN_RECV)`,
      hint: "try again when the program has accepted it, or have it closed with --tcp-close",
      passing: !surroundings.runs || undefined,
    };
  }
  if (!surroundings.mayRepair) {
    return {
      what: `${what}, a connection, which cannot be read without CAP_NET_ADMIN`,
      hint: `run as root, or have it closed with --tcp-close; or ${external}`,
    };
  }
  const isFine = tcpEstablished === true || surroundings.hidden || isInside(socket, surroundings);
  // Of what is not to be left out the listening socket tells.
  if (isFine || lone.has(ino) && skipInFlight !== true) return undefined;
  if (lone.has(ino)) {
    return {
      what: `${what}, whose other end in the tree waits to be accepted and is left out`,
      hint: "have it closed with --tcp-close, or saved with --tcp-established: then it is reset " +
        "when it sends something",
    };
  }
  return {
    what: `${what}, connected from ${endText(source.address, source.port)} to ${
      endText(target.address, target.port)
    }, outside of the tree`,
    hint:
      "save it with --tcp-established: the other end waits until the tree is restored; or have it closed with " +
      `--tcp-close; or ${external}`,
  };
}
