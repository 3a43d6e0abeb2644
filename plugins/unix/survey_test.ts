import { equal, match, ok } from "@std/assert";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/unix_diag.ts";
import { socketProblem, type Surroundings } from "./survey.ts";

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
  return { sockets, inside: new Set(inside), holders };
}

const what = (all: Surroundings, inFlight = 0): string | undefined =>
  socketProblem({ fd: 7, ino: 1, inFlight }, all)?.what;

Deno.test("socketProblem() has nothing against a pair, a closed peer, or none", () => {
  equal(what(surroundings({})), undefined);
  equal(what(surroundings({ 1: { peer: 0, shutdown: SHUTDOWN.BOTH } }, [1])), undefined);
  equal(what(surroundings({ 1: { peer: 0, type: SOCK.DGRAM } }, [1])), undefined);
  equal(what(surroundings({ 1: { peer: undefined, state: STATE.CLOSE } }, [1])), undefined);
});

Deno.test("socketProblem() names the task outside that has the other end, and its name", () => {
  const name = new TextEncoder().encode("/run/bus\0");
  const problem = socketProblem(
    { fd: 7, ino: 1, inFlight: 0 },
    surroundings({ 2: { name } }, [1], { 2: 99 }),
  );
  equal(
    problem?.what,
    "its descriptor 7 (socket:[1]) is a unix socket whose other end (/run/bus) is outside of the tree: " +
      "task 99 has it",
  );
  match(problem?.hint ?? "", /--external 'socket:\[1\]'/);
});

Deno.test("socketProblem() says what nobody can save", () => {
  match(what(surroundings({}, [1])) ?? "", /nobody has open that can be seen/);
  match(
    what(surroundings({}, [1, 2], { 1: 55 })) ?? "",
    /task 55 outside of the tree has open too/,
  );
  match(what(surroundings({}), 2) ?? "", /SCM_RIGHTS/);
  match(what(surroundings({ 1: { peer: 0 } }, [1])) ?? "", /waits to be accepted/);
  match(what(surroundings({ 2: { peer: 5 } })) ?? "", /does not send back/);
  const { inside, holders } = surroundings({});
  match(what({ sockets: new Map(), inside, holders }) ?? "", /another network namespace/);
});

Deno.test("socketProblem() has a hint for everything", () => {
  for (const all of [surroundings({}, [1]), surroundings({ 1: { peer: 0 } }, [1])]) {
    ok(socketProblem({ fd: 7, ino: 1, inFlight: 0 }, all)?.hint !== undefined);
  }
});
