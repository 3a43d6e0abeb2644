import { equal, match, notEqual, ok } from "@std/assert";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import { nameKey } from "./name.ts";
import {
  findSenders,
  findWaiting,
  senderProblem,
  socketProblem,
  type Surroundings,
} from "./survey.ts";

/** Sockets 1 and 2 are a pair; others as given. */
function surroundings(
  changes: Readonly<Record<number, Partial<UnixSocket>>>,
  inside: readonly number[] = [1, 2],
  held: Readonly<Record<number, number>> = {},
): Surroundings {
  const sockets = new Map<number, UnixSocket>();
  for (const ino of [1, 2, ...Object.keys(changes).map(Number)]) {
    sockets.set(ino, {
      ino,
      type: SOCK.STREAM,
      state: STATE.ESTABLISHED,
      name: new Uint8Array(0),
      peer: 3 - ino,
      waiting: [],
      receiveQueue: 0,
      sendQueue: 0,
      shutdown: 0,
      ...changes[ino],
    });
  }
  const holders = (ino: number) => held[ino] === undefined ? [] : [held[ino]];
  const nameOf = (pid: number) => `task ${pid} (other)`;
  return {
    sockets,
    inside: new Set(inside),
    senders: findSenders(sockets, new Set(inside)),
    leadsTo: (name) => (socket) => nameKey(name) === nameKey(socket.name),
    waiting: findWaiting(sockets),
    skipsWaiting: false,
    acceptsLater: false,
    accepts: false,
    stands: false,
    isNew: () => false,
    reconnects: false,
    sent: new Map(),
    mayRead: false,
    hidden: false,
    holders,
    nameOf,
  };
}

const what = (all: Surroundings): string | undefined => socketProblem({ fd: 7, ino: 1 }, all)?.what;

Deno.test("socketProblem() has nothing against a pair, a closed peer, or none", () => {
  equal(what(surroundings({})), undefined);
  equal(what(surroundings({ 1: { peer: 0, shutdown: SHUTDOWN.BOTH } }, [1])), undefined);
  equal(what(surroundings({ 1: { peer: 0, type: SOCK.DGRAM } }, [1])), undefined);
  equal(what(surroundings({ 1: { peer: undefined, state: STATE.CLOSE } }, [1])), undefined);
});

Deno.test("socketProblem() names the task outside that has the other end, and its name", () => {
  const name = new TextEncoder().encode("/run/bus\0");
  const problem = socketProblem(
    { fd: 7, ino: 1 },
    surroundings({ 2: { name } }, [1], { 2: 99 }),
  );
  equal(
    problem?.what,
    "its descriptor 7 (socket:[1]) is a unix socket whose other end (/run/bus) is outside of the tree: " +
      "task 99 (other) has it",
  );
  match(problem?.hint ?? "", /--external 'socket:\[1\]'/);
});

Deno.test("socketProblem() says what nobody can save", () => {
  match(what(surroundings({}, [1])) ?? "", /nobody has open that can be seen/);
  match(
    what(surroundings({}, [1, 2], { 1: 55 })) ?? "",
    /task 55 \(other\) outside of the tree has open too/,
  );
  match(what(surroundings({ 1: { peer: 0 } }, [1])) ?? "", /waits to be accepted outside/);
  match(what(surroundings({ 2: { peer: 5 } })) ?? "", /connected to another one/);
  match(what({ ...surroundings({}), sockets: new Map() }) ?? "", /another network namespace/);
});

Deno.test("socketProblem() lets sockets be connected to names outside again, if that is asked for", () => {
  const name = new TextEncoder().encode("/run/log");
  const asked = (changes: Parameters<typeof surroundings>[0], inside = [1]) =>
    what({ ...surroundings(changes, inside, { 2: 99 }), reconnects: true });
  const dgram = { type: SOCK.DGRAM };
  equal(asked({ 1: dgram, 2: { ...dgram, name, peer: undefined } }), undefined);
  match(asked({ 1: dgram, 2: { ...dgram, name } }) ?? "", /\(\/run\/log\) is connected too/);
  match(asked({ 1: dgram, 2: dgram }) ?? "", /has no name to connect to/);
  const relative = new TextEncoder().encode("log");
  match(asked({ 2: { name: relative } }) ?? "", /a name without a directory \(log\)/);
  match(asked({ 2: { name } }) ?? "", /nobody listens there/);
  const server = { name, state: STATE.LISTEN, peer: undefined };
  equal(asked({ 2: { name }, 3: server }), undefined);
  // A name that leads nowhere, or elsewhere.
  const lost = (changes: Parameters<typeof surroundings>[0]) =>
    what({
      ...surroundings(changes, [1], { 2: 99 }),
      reconnects: true,
      leadsTo: () => () => false,
    });
  match(lost({ 2: { name }, 3: server }) ?? "", /nobody listens there/);
  match(lost({ 1: dgram, 2: { ...dgram, name, peer: undefined } }) ?? "", /by its name any more/);
});

Deno.test("socketProblem() waits with what may lie in a queue until the tree stands still", () => {
  const running = (all: Surroundings) => what({ ...all, hidden: true });
  equal(running(surroundings({}, [1])), undefined);
  equal(running({ ...surroundings({}, [1]), reconnects: true }), undefined);
  equal(running(surroundings({ 1: { peer: 0 } }, [1])), undefined);
  equal(running(surroundings({ 1: { state: STATE.LISTEN, waiting: [9] } }, [1])), undefined);
  match(running(surroundings({}, [1], { 2: 99 })) ?? "", /task 99 \(other\) has it/);
});

Deno.test("socketProblem() has a hint for everything", () => {
  for (const all of [surroundings({}, [1]), surroundings({ 1: { peer: 0 } }, [1])]) {
    ok(socketProblem({ fd: 7, ino: 1 }, all)?.hint !== undefined);
  }
});

/** Socket 1 listens, and 2 waits to be accepted. */
function service(client: Partial<UnixSocket> = {}, inside: number[] = [1, 2]): Surroundings {
  const listening = { state: STATE.LISTEN, peer: undefined, waiting: [2], receiveQueue: 1 };
  return surroundings({ 1: listening, 2: { peer: 0, ...client } }, inside);
}

Deno.test("socketProblem() has nothing against a connection that waits within the tree", () => {
  for (const ino of [1, 2]) equal(socketProblem({ fd: 3, ino }, service()), undefined);
});

Deno.test("socketProblem() says which connections that wait cannot be made again", () => {
  const of = (ino: number, all: Surroundings) => socketProblem({ fd: 3, ino }, all)?.what ?? "";
  match(of(2, service({ sendQueue: 768 })), /has sent something/);
  match(of(1, service({}, [1])), /from outside of the tree \(socket:\[2\]\)/);
  match(of(2, service({}, [2])), /waits to be accepted outside/);
  const hasty = surroundings({ 1: { state: STATE.LISTEN, waiting: [0] } });
  match(of(1, hasty), /other end is closed/);
  equal(of(1, { ...hasty, skipsWaiting: true }), "");
  equal(of(1, { ...service({}, [1]), acceptsLater: true }), "");
  match(of(1, { ...hasty, acceptsLater: true }), /other end is closed/);
  // What was sent can be read, or has been.
  const sender = service({ sendQueue: 768 });
  const sent = new Map([[1, [[Uint8Array.of(1)]]]]);
  for (const [ino, all] of [[1, hasty], [2, sender]] as const) {
    equal(of(ino, { ...all, mayRead: true }), "");
    equal(of(ino, { ...all, stands: true, sent }), "");
    notEqual(of(ino, { ...all, stands: true, mayRead: true }), "");
    notEqual(of(ino, { ...all, stands: true, sent: new Map([[1, [undefined]]]) }), "");
  }
});

Deno.test("senderProblem() lets come back what the peer or a socket with that name can send", () => {
  const name = new TextEncoder().encode("\0one");
  const other = new TextEncoder().encode("\0two");
  const none = new Uint8Array(0);
  const all = (changes: Parameters<typeof surroundings>[0]) => {
    const dgram = { type: SOCK.DGRAM };
    const made = surroundings({ 1: { ...dgram, ...changes[1] }, 2: { ...dgram, ...changes[2] } });
    const problem = (...names: Uint8Array[]) =>
      senderProblem(made.sockets.get(1) as UnixSocket, names, made);
    return problem;
  };
  const pair = all({ 2: { name } });
  equal(pair(name, name), undefined);
  match(pair(name, none) ?? "", /cannot send to it/);
  const server = all({ 1: { name: other, peer: undefined }, 2: { name, peer: undefined } });
  equal(server(name, none), undefined);
  // One that is gone can be made again, unless somebody else has its name.
  equal(server(new TextEncoder().encode("\0three")), undefined);
  // One without a name is reached by an end of a pair that has none either, or by who is connected to it.
  const widow = all({ 1: { peer: 0 }, 2: { name, peer: undefined } });
  equal(widow(none), undefined);
  match(widow(new TextEncoder().encode("\0gone")) ?? "", /@gone, which cannot send to it/);
  match(widow(name) ?? "", /@one/);
  const reached = all({ 1: { peer: undefined }, 2: { name, peer: 1 } });
  equal(reached(name), undefined);
  match(reached(new TextEncoder().encode("\0three")) ?? "", /@three/);
});
