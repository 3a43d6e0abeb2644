/**
 * The calls that make sockets anew. Pure.
 *
 * What waits in a socket is sent to it again by its peer, before anything is shut down, limited or filtered. A
 * peer that was closed is made too, and closed again when it has sent.
 *
 * @module
 */
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { planBind, planConnect } from "./bind.ts";
import { planDatagrams } from "./datagrams.ts";
import type { Group, SavedSocket } from "./group.ts";
import { planAs } from "./identity.ts";
import { planByte, planQueue } from "./message.ts";
import { type Made, type Means, NEW, planEnds, planRest, planSocket } from "./socket.ts";

/** Adds the calls that make a group. @returns the descriptor of each by its id */
export function planGroup(program: SyscallProgram, group: Group, means: Means): Made {
  switch (group.kind) {
    case "pair":
    case "widow":
      return planPair(program, group, means);
    case "single":
      return planSingle(program, group.sockets[0], means);
    case "waiting": {
      // It connects later, when the other one listens: planWaiting().
      const [socket] = group.sockets;
      const fd = planSocket(program, socket);
      planBind(program, fd, socket, means);
      return new Map([[socket.entry.id, fd]]);
    }
    case "service":
      return planService(program, group, means);
    case "datagrams":
      return planDatagrams(program, group.sockets, means);
  }
}

function planSingle(program: SyscallProgram, socket: SavedSocket, means: Means): Made {
  const fd = planSocket(program, socket);
  planBind(program, fd, socket, means);
  planRest(program, fd, socket, means);
  return new Map([[socket.entry.id, fd]]);
}

function planPair(
  program: SyscallProgram,
  { sockets: [first, second] }: Group & { readonly kind: "pair" | "widow" },
  means: Means,
): Made {
  const [one, other] = planEnds(program, first);
  return planConversation(program, [one, first], [other, second], means);
}

/** Adds the calls for two connected sockets; without a second one its end is closed again. */
function planConversation(
  program: SyscallProgram,
  [one, first]: readonly [Argument, SavedSocket],
  [other, second]: readonly [Argument, SavedSocket | undefined],
  means: Means,
): Made {
  planQueue(program, other, first.queue, means.limits);
  if (second !== undefined) {
    planQueue(program, one, second.queue, means.limits);
    planRest(program, one, first, means);
    planRest(program, other, second, means);
    return new Map<number, Argument>([[first.entry.id, one], [second.entry.id, other]]);
  }
  // Closing with something unread is what leaves ECONNRESET behind (unix_release_sock()).
  if (first.extra?.reset === true) planByte(program, one);
  program.call("close", other);
  planRest(program, one, first, means);
  return new Map([[first.entry.id, one]]);
}

/**
 * Adds the calls for a listening socket and what it accepted: the connections are made through it, which gives
 * them its name. If it is closed, it is made for that and closed again.
 */
function planService(
  program: SyscallProgram,
  { listener, connections }: Group & { readonly kind: "service" },
  means: Means,
): Made {
  const made: Made = new Map();
  const named = listener ?? (connections[0]?.server as SavedSocket);
  const place = means.place(named);
  const listening = planSocket(program, named);
  planBind(program, listening, named, means);
  // Who listens is what those will see that connect.
  const seen = listener?.extra?.peer ?? connections[0]?.client?.extra?.peer;
  planAs(program, seen, () => program.call("listen", listening, named.entry.backlog));
  for (const { server, client } of connections) {
    const connecting = planSocket(program, client ?? server);
    if (client !== undefined) planBind(program, connecting, client, means);
    planAs(
      program,
      server.extra?.peer,
      () => planConnect(program, connecting, named.entry, place),
    );
    const accepted = program.call("accept4", listening, 0, 0, NEW);
    const ends = planConversation(program, [accepted, server], [connecting, client], means);
    for (const [id, fd] of ends) made.set(id, fd);
  }
  if (listener === undefined) program.call("close", listening);
  else {
    planRest(program, listening, listener, means);
    made.set(listener.entry.id, listening);
  }
  return made;
}

/** Adds the calls by which a connection comes to wait again, when the socket that is to accept it listens. */
export function planWaiting(
  program: SyscallProgram,
  fd: Argument,
  { sockets: [socket], listener }: Group & { readonly kind: "waiting" },
  means: Means,
): void {
  planAs(
    program,
    socket.extra?.connector,
    () => planConnect(program, fd, listener.entry, means.place(listener)),
  );
  planRest(program, fd, socket, means);
}
