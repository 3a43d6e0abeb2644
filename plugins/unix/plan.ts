/**
 * The calls that make sockets anew. Pure.
 *
 * What waits in a socket is sent to it again by its peer, before anything is shut down, limited or filtered. A
 * peer that was closed is made too, and closed again when it has sent. Where open files are to lie in a queue, that is
 * done when all of them are there.
 *
 * @module
 */
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL } from "../../core/linux/net/socket_ffi.ts";
import { planRoom } from "../../core/restore/socket_options.ts";
import { planBind, planConnect } from "./bind.ts";
import { planDatagrams } from "./datagrams.ts";
import type { Connection, Group, SavedSocket } from "./group.ts";
import { planAs } from "./identity.ts";
import { planByte, planQueue } from "./message.ts";
import {
  type Made,
  type MadeGroup,
  type Means,
  NEW,
  planConnectOutside,
  planEnds,
  planRest,
  planSocket,
} from "./socket.ts";

/** Adds the calls that make the sockets of a group, with their names and connected, but with nothing in them. */
export function planGroup(program: SyscallProgram, group: Group, means: Means): MadeGroup {
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
      return { made: new Map([[socket.entry.id, fd]]), used: [], fill() {} };
    }
    case "service":
      return planService(program, group, means);
    case "met":
      return planMet(program, group, means);
    case "outside":
      return planOutside(program, group.sockets[0], means);
    case "datagrams":
      return planDatagrams(program, group, means);
  }
}

function planSingle(program: SyscallProgram, socket: SavedSocket, means: Means): MadeGroup {
  const fd = planSocket(program, socket);
  planBind(program, fd, socket, means);
  planRest(program, fd, socket, means);
  return { made: new Map([[socket.entry.id, fd]]), used: [], fill() {} };
}

/** Adds the calls for a socket that is connected to a name outside of the tree. */
function planOutside(program: SyscallProgram, socket: SavedSocket, means: Means): MadeGroup {
  const fd = planSocket(program, socket);
  planBind(program, fd, socket, means);
  planConnectOutside(program, fd, socket);
  planRest(program, fd, socket, means);
  return { made: new Map([[socket.entry.id, fd]]), used: [], fill() {} };
}

function planPair(
  program: SyscallProgram,
  { sockets: [first, second] }: Group & { readonly kind: "pair" | "widow" },
  means: Means,
): MadeGroup {
  const [one, other] = planEnds(program, first);
  return fillLater([{ one, first, other, second }], new Map(), means);
}

/** Two connected sockets; without a second one its end is to be closed again. */
interface Conversation {
  readonly one: Argument;
  readonly first: SavedSocket;
  readonly other: Argument;
  readonly second: SavedSocket | undefined;
}

/** @param made what is complete already */
function fillLater(conversations: readonly Conversation[], made: Made, means: Means): MadeGroup {
  for (const { one, first, other, second } of conversations) {
    made.set(first.entry.id, one);
    if (second !== undefined) made.set(second.entry.id, other);
  }
  return {
    made,
    used: conversations.flatMap(({ one, other, second }) => [
      { fd: one, spare: false },
      { fd: other, spare: second === undefined },
    ]),
    fill(program, at) {
      for (const { one, first, other, second } of conversations) {
        planConversation(program, { one: at(one), first, other: at(other), second }, means);
      }
    },
  };
}

function planConversation(
  program: SyscallProgram,
  { one, first, other, second }: Conversation,
  means: Means,
): void {
  planQueue(program, other, first.queue, means);
  if (second !== undefined) {
    planQueue(program, one, second.queue, means);
    planRest(program, one, first, means);
    planRest(program, other, second, means);
    return;
  }
  // Closing with something unread is what leaves ECONNRESET behind (unix_release_sock()).
  if (first.extra?.reset === true) planByte(program, one);
  program.call("close", other);
  planRest(program, one, first, means);
}

/**
 * Adds the calls for a listening socket and what it accepted: the connections are made through it, which gives
 * them its name. If it is closed, it is made for that and closed again.
 */
function planService(
  program: SyscallProgram,
  { listener, connections }: Group & { readonly kind: "service" },
  means: Means,
): MadeGroup {
  const named = listener ?? (connections[0]?.server as SavedSocket);
  const listening = planSocket(program, named);
  planBind(program, listening, named, means);
  // Who listens is what those will see that connect.
  const seen = listener?.extra?.peer ?? connections[0]?.client?.extra?.peer;
  planAs(program, seen, () => program.call("listen", listening, named.entry.backlog));
  const conversations = planConnections(program, listening, named, connections, means);
  const made: Made = new Map();
  if (listener === undefined) program.call("close", listening);
  else {
    planRest(program, listening, listener, means);
    made.set(listener.entry.id, listening);
  }
  return fillLater(conversations, made, means);
}

/** Adds the calls that make connections to a socket at which another task listens. */
function planMet(
  program: SyscallProgram,
  { listener, connections }: Group & { readonly kind: "met" },
  means: Means,
): MadeGroup {
  const listening = means.fetchListener(program, listener);
  const conversations = planConnections(program, listening, listener, connections, means);
  program.call("close", listening);
  return fillLater(conversations, new Map(), means);
}

/** Adds the calls that make connections: who connects accepts them, too, which nobody is told of. */
function planConnections(
  program: SyscallProgram,
  listening: Argument,
  named: SavedSocket,
  connections: readonly Connection[],
  means: Means,
): Conversation[] {
  return connections.map(({ server, client }) => {
    const connecting = planSocket(program, client ?? server);
    if (client !== undefined) planBind(program, connecting, client, means);
    planAs(
      program,
      server.extra?.peer,
      () => planConnect(program, connecting, named.entry, means.place(named)),
    );
    const accepted = program.call("accept4", listening, 0, 0, NEW);
    return { one: accepted, first: server, other: connecting, second: client };
  });
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
  planSent(program, fd, socket.extra?.sent ?? [], means);
  planRest(program, fd, socket, means);
}

/** Adds the calls by which one comes to wait again whose other end is closed. @param sent by that */
export function planClosed(
  program: SyscallProgram,
  listener: SavedSocket,
  sent: readonly Uint8Array[],
  means: Means,
): void {
  const fd = planSocket(program, listener);
  planConnect(program, fd, listener.entry, means.place(listener));
  planSent(program, fd, sent, means);
  program.call("close", fd);
}

/** Adds the calls that send to a connection that is not accepted yet. */
function planSent(
  program: SyscallProgram,
  fd: Argument,
  sent: readonly Uint8Array[],
  { limits }: Means,
): void {
  if (sent.length > 0) planRoom(program, fd, limits);
  for (const bytes of sent) {
    const size = bytes.byteLength;
    const data = program.data(bytes, `${size} bytes`);
    program.expect(BigInt(size), "sendto", fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
  }
}
