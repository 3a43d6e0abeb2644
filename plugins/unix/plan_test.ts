import { deepEqual, equal } from "@std/assert";
import { formatCall, SyscallProgram } from "../../core/remote/program.ts";
import { O } from "../../core/linux/fcntl.ts";
import { SHUTDOWN, SOCK, STATE } from "../../core/linux/unix_diag.ts";
import type { Group } from "./group.ts";
import { planGroup } from "./plan.ts";
import { sampleSocket } from "./sample_sockets.ts";

const LIMITS = { force: true, send: 212992, receive: 212992 };

/** The calls of a group, without those that only set what a socket has anyway. */
function callsOf(group: Group): string[] {
  const program = new SyscallProgram("test");
  const made = planGroup(program, group, LIMITS);
  deepEqual([...made.keys()], group.sockets.map(({ entry }) => entry.id));
  return program.calls.map((call) => formatCall(call)).filter((text) =>
    !/SO_(SND|RCV)BUF/.test(text)
  );
}

const message = (length: number) => ({ bytes: new Uint8Array(length) });

Deno.test("planGroup() fills the queues of a pair before it shuts anything down", () => {
  const one = sampleSocket(1, { peer: 2, shutdown: SHUTDOWN.SEND }, undefined, [message(5)]);
  const two = sampleSocket(
    2,
    { peer: 1, shutdown: SHUTDOWN.RECEIVE, flags: O.RDWR | O.NONBLOCK },
    undefined,
    [message(6), message(0)],
  );
  deepEqual(callsOf({ kind: "pair", sockets: [one, two] }), [
    "socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, [ends])",
    "sendto([ends][4], {5 bytes}, 5, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    "sendto([ends][0], {6 bytes}, 6, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    "sendto([ends][0], {0 bytes}, 0, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    "shutdown([ends][0], SHUT_WR)",
    "fcntl([ends][0], F_SETFL, 0)",
    "shutdown([ends][4], SHUT_RD)",
  ]);
});

Deno.test("planGroup() closes a peer that was closed when it has sent", () => {
  const widow = sampleSocket(1, { shutdown: SHUTDOWN.BOTH, flags: O.NONBLOCK }, { reset: true }, [
    message(5),
  ]);
  deepEqual(callsOf({ kind: "widow", sockets: [widow] }).slice(1), [
    "sendto([ends][4], {5 bytes}, 5, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    // What makes the peer leave an error behind.
    "sendto([ends][0], {1 byte}, 1, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    "close([ends][4])",
    "shutdown([ends][0], SHUT_RDWR)",
  ]);
});

Deno.test("planGroup() makes a pair as who made it before, and gets root's ids back", () => {
  const peer = { pid: 5, uid: 1000, gid: 100, groups: [7] };
  const pair = [sampleSocket(1, { peer: 2 }, { peer }), sampleSocket(2, { peer: 1 })] as const;
  deepEqual(callsOf({ kind: "pair", sockets: pair }).slice(0, 7), [
    "setgroups(1, {4 bytes})",
    "setresgid(-1, 100, -1)",
    "setresuid(-1, 1000, -1)",
    "socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, [ends])",
    "setresuid(-1, 0, -1)",
    "setresgid(-1, 0, -1)",
    "prctl(PR_SET_DUMPABLE, 0x1, 0, 0, 0)",
  ]);
});

Deno.test("planGroup() sends in the name of others", () => {
  const sender = { pid: 5, uid: 6, gid: 7 };
  const one = sampleSocket(1, { type: SOCK.DGRAM }, undefined, [{ ...message(3), sender }]);
  equal(
    callsOf({ kind: "widow", sockets: [one] })[1],
    "sendmsg([ends][4], {3 bytes of 5}, MSG_DONTWAIT|MSG_NOSIGNAL)",
  );
});

Deno.test("planGroup() makes a socket without a peer", () => {
  deepEqual(callsOf({ kind: "single", sockets: [sampleSocket(1, { state: STATE.CLOSE })] }), [
    "socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0)",
    "fcntl($0, F_SETFL, 0)",
  ]);
});
