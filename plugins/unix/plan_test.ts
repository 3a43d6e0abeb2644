import { deepEqual, equal } from "@std/assert";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { O } from "../../core/linux/fcntl.ts";
import { SHUTDOWN, SOCK, STATE } from "../../core/linux/net/unix_diag.ts";
import { type BindPlace, isDeleted } from "./bind.ts";
import type { Group, SavedSocket } from "./group.ts";
import { pathOf } from "./name.ts";
import { planGroup, planWaiting } from "./plan.ts";
import { sampleSocket } from "./sample_sockets.ts";

const MEANS = {
  limits: { force: true, send: 212992, receive: 212992 },
  place: ({ entry }: SavedSocket): BindPlace | undefined =>
    pathOf(entry.name) === undefined
      ? undefined
      : { service: 90, directory: isDeleted(entry) ? undefined : 80, moved: false },
  bound: () => {},
  numberOf: (id: number) => 1000 + id,
  fetchListener: () => 60,
};

/** The calls of a group, without those that only set what a socket has anyway. */
function callsOf(group: Group): string[] {
  const program = new SyscallProgram("test");
  const { made, fill } = planGroup(program, group, MEANS);
  deepEqual([...made.keys()], group.sockets.map(({ entry }) => entry.id));
  fill(program, (fd) => fd);
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

Deno.test("planGroup() leaves it to the caller when queues are filled, and by which numbers", () => {
  const queue = [message(5), { ...message(1), rights: [7, 8] }];
  const widow = sampleSocket(1, { shutdown: SHUTDOWN.BOTH, flags: O.NONBLOCK }, undefined, queue);
  const group: Group = { kind: "widow", sockets: [widow] };
  const [first, later] = [new SyscallProgram("first"), new SyscallProgram("later")];
  const { used, fill } = planGroup(first, group, MEANS);
  equal(first.calls.length, 1);
  deepEqual(used.map(({ spare }) => spare), [false, true]);
  fill(later, (fd) => fd === used[0]?.fd ? 70 : 71);
  const calls = later.calls.map((call) => formatCall(call)).filter((text) => !/SO_/.test(text));
  deepEqual(calls, [
    "sendto(71, {5 bytes}, 5, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
    "sendmsg(71, {1 bytes with descriptors 1007, 1008}, MSG_DONTWAIT|MSG_NOSIGNAL)",
    "close(71)",
    "shutdown(70, SHUT_RDWR)",
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
  deepEqual(callsOf({ kind: "pair", sockets: pair }).slice(0, 8), [
    "setgroups(1, {4 bytes})",
    "prctl(PR_SET_SECUREBITS, 0x4, 0, 0, 0)",
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
    "sendmsg([ends][4], {3 bytes with credentials of 5}, MSG_DONTWAIT|MSG_NOSIGNAL)",
  );
});

Deno.test("planGroup() makes a socket without a peer", () => {
  deepEqual(callsOf({ kind: "single", sockets: [sampleSocket(1, { state: STATE.CLOSE })] }), [
    "socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0)",
    "fcntl($0, F_SETFL, 0)",
  ]);
});

const PATH = new TextEncoder().encode("/run/x\0");

Deno.test("planGroup() connects through the socket that listens, as who was connected", () => {
  const peer = { pid: 5, uid: 0, gid: 0, groups: [] };
  const listener = sampleSocket(1, {
    state: STATE.LISTEN,
    name: PATH,
    backlog: 3,
    flags: O.NONBLOCK,
    filePerms: { $typeName: "file_perms_entry", mode: 0o140640, uid: 7, gid: 8 },
  });
  const server = sampleSocket(2, { peer: 3, name: PATH, flags: O.NONBLOCK }, { peer }, [
    message(4),
  ]);
  const client = sampleSocket(3, { peer: 2, flags: O.NONBLOCK });
  const group: Group = {
    kind: "service",
    sockets: [listener, server, client],
    listener,
    connections: [{ server, client }],
  };
  const program = new SyscallProgram("test");
  const { made, fill } = planGroup(program, group, MEANS);
  equal(made.size, 3);
  fill(program, (fd) => fd);
  const calls = program.calls.map((call) => formatCall(call)).filter((text) =>
    !/SO_|^socket/.test(text)
  );
  deepEqual(calls, [
    'openat(AT_FDCWD, "/", O_DIRECTORY|O_CLOEXEC|O_PATH, 00)',
    'mkdirat(80, "run", 493)',
    "fchdir(80)",
    'chroot(".")',
    "umask(00)",
    "fchmod($0, 416)",
    "bind($0, {/run/x}, 9)",
    "fchmod($0, 511)",
    "umask($5)",
    'lchown("/run/x", 7, 8)',
    "fchdir($1)",
    'chroot(".")',
    'openat(80, "run/x", O_NOFOLLOW|O_CLOEXEC|O_PATH, 00)',
    "dup3($13, 90, O_CLOEXEC)",
    "close($13)",
    "close($1)",
    "listen($0, 3)",
    "setgroups(0, NULL)",
    "connect($18, {/proc/self/fd/90}, 18)",
    "accept4($0, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC)",
    "sendto($18, {4 bytes}, 4, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0)",
  ]);
});

Deno.test("planGroup() gives a deleted name where nobody sees it", () => {
  const socket = sampleSocket(1, {
    state: STATE.CLOSE,
    name: new TextEncoder().encode("/a//b/x\0"),
    deleted: true,
    flags: O.NONBLOCK,
  });
  const calls = callsOf({ kind: "single", sockets: [socket] });
  const made = calls.slice(calls.findIndex((text) => text.startsWith("mkdirat")), -3);
  deepEqual(made, [
    'mkdirat($4, "a", 493)',
    'mkdirat($4, "a/b", 493)',
    "fchdir($4)",
    'chroot(".")',
    "bind($0, {/a//b/x}, 10)",
    "fchdir($1)",
    'chroot(".")',
    'openat($4, "a/b/x", O_NOFOLLOW|O_CLOEXEC|O_PATH, 00)',
    "dup3($13, 90, O_CLOEXEC)",
    'unlinkat($4, "a/b/x", 0)',
  ]);
});

Deno.test("planWaiting() connects as who waited, to a deleted file through its descriptor", () => {
  const listener = sampleSocket(1, { state: STATE.LISTEN, name: PATH, deleted: true });
  const connector = { pid: 5, uid: 1000, gid: 0, groups: [] };
  const socket = sampleSocket(2, { peer: 1, flags: O.NONBLOCK }, { connector });
  const program = new SyscallProgram("test");
  planWaiting(program, 77, { kind: "waiting", sockets: [socket], listener }, MEANS);
  deepEqual(program.calls.map((call) => formatCall(call)).slice(2, 5), [
    "setresuid(-1, 1000, -1)",
    "connect(77, {/proc/self/fd/90}, 18)",
    "setresuid(-1, 0, -1)",
  ]);
});
