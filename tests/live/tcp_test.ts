/**
 * TCP connections to outside of the tree: whoever is at the other end sees a pause, and neither an end nor a byte too
 * few or too many; and nothing holds them back that nobody lets go of.
 */
import assert from "@std/assert";
import { EXIT_STATUS } from "../../base/errors.ts";
import { fileURLToPath } from "node:url";
import { O } from "../../core/linux/fcntl.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import {
  deleteTable,
  drop,
  KEY,
  META,
  newChain,
  newElements,
  newRule,
  newSet,
  newTable,
  NfTables,
  PAYLOAD,
  whereInSet,
  whereMeta,
} from "../../core/linux/net/nf_tables.ts";
import { linger, readNumber, SO } from "../../core/linux/net/socket_options.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { AF_INET, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { readStat } from "../../core/linux/procfs/mod.ts";
import type { FrozenTree } from "../../core/plugin.ts";
import { INET_LOCK } from "../../images/kinds/inet.ts";
import { checkpoint, openImages, restore, StasisError } from "../../mod.ts";
import { buildProgram, SUBJECTS_DIR } from "../harness/build.ts";
import { encodeAddress } from "../../plugins/inet/address.ts";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { SOCK } from "../../plugins/inet/protocol.ts";
import { failureOf } from "../harness/unharmed.ts";
import { openLock } from "../../plugins/inet/network_lock.ts";
import { EchoClient } from "../harness/echo_client.ts";
import { startEcho, tablesOf } from "../harness/echo_server.ts";
import { processTree, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { becomesSleep, collectNotes, ImageHome } from "./round_trip.ts";

const MANY_PROGRAM = fileURLToPath(new URL("./programs/inet_many.c", import.meta.url));
const ESTABLISHED = { ...UNHURRIED, tcpEstablished: true };

Deno.test("connections to outside go on after a restore, with every byte", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  const clients = await Promise.all(
    ["127.0.0.1", "127.0.0.1", "::1"].map((host) => EchoClient.connect(port, host)),
  );
  for (const client of clients) await client.goesOn();
  await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
  const { table } = openImages(images.directory).read(INET_LOCK, null);
  assert.deepEqual(tablesOf(port), [table]);
  // Others between the same addresses are not held back.
  await using other = await startEcho();
  const stranger = await EchoClient.connect(Number(other.fact("port")), "127.0.0.1");
  await stranger.goesOn();
  await stranger.end();
  const tree = await restore(images.directory);
  assert.deepEqual(tablesOf(port), []);
  for (const client of clients) await client.goesOn();
  await Promise.all(clients.map((client) => client.end()));
  await subject.expectPass();
  await tree.wait();
});

/** Python with both ends of a connection by \`HOST\`: how much goes into a packet of each, told each time it is asked. */
const SEGMENTS = `
import signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.socket(family); listener.bind((sys.argv[1], 0)); listener.listen()
one = socket.socket(family); one.connect(listener.getsockname()); other, _ = listener.accept()
def send(here, there, size):
    here.sendall(bytes(size))
    while size > 0: size -= len(there.recv(size))
for _ in range(4): send(one, other, 50000), send(other, one, 50000)
while True:
    print(*(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) for end in (one, other)), flush=True)
    signal.sigwait([signal.SIGUSR1])
    send(one, other, 300), send(other, one, 300)
`;

for (const host of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
  Deno.test(`packets of connections are as large as before: ${host}`, async () => {
    using images = new ImageHome();
    await using subject = await Subject.spawn("/usr/bin/python3", {
      args: ["-c", SEGMENTS, host],
    });
    const told = async (line: number) => {
      const lines = () => subject.output().split("\n");
      await waitUntil(() => lines().length > line + 1, () => `its sizes: ${subject.errors()}`);
      return lines()[line]!.split(" ").map(Number);
    };
    const before = await told(0);
    await checkpoint(subject.pid, { directory: images.directory });
    const tree = await restore(images.directory);
    Deno.kill(subject.pid, "SIGUSR1");
    const after = await told(1);
    tree.kill(9);
    await tree.wait();
    // The most that can be set but for the room that options take, which only this machine itself has packets beyond.
    const wanted = before.map((size) => Math.min(size, 32767 - 40));
    assert.ok(after.every((size, index) => size >= wanted[index]!), `${before} and ${after}`);
  });
}

/** Python with a connection that is full in both directions: some room to receive in, and much more to send. */
const FULL_BOTH_WAYS = `
import signal, socket
FORCE = 33 # SO_RCVBUFFORCE; SO_SNDBUFFORCE is one less.
listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, FORCE, 1000000)
listener.bind(("127.0.0.1", 0)); listener.listen()
one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, FORCE, 1000000)
one.connect(listener.getsockname()); other, _ = listener.accept()
for end in (one, other):
    end.setsockopt(socket.SOL_SOCKET, FORCE - 1, 8000000)
    end.setblocking(False)
    try:
        while True: end.send(bytes(10000))
    except BlockingIOError: pass
print(listener.getsockname()[1], flush=True)
signal.pause()
`;

Deno.test("no end of a connection takes more than it has room for while it is restored", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", FULL_BOTH_WAYS] });
  await waitUntil(() => /^\d+\n/.test(subject.output()), () => `its port: ${subject.errors()}`);
  const port = Number(subject.output());
  const waiting = () =>
    [...readInetSockets(IPPROTO.TCP, [], { ports: [port] }).byInode.values()]
      .filter(({ state }) => state === TCP.ESTABLISHED).map(({ receiveQueue }) => receiveQueue);
  await checkpoint(subject.pid, { directory: images.directory });
  const tree = await restore(images.directory);
  const after = waiting();
  tree.kill(9);
  await tree.wait();
  assert.equal(after.length, 2);
  assert.ok(after.every((bytes) => bytes > 0 && bytes <= 2_000_000), `${after} bytes`);
});

Deno.test("a restore that comes an hour later says what that means for the other ends", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const client = await EchoClient.connect(Number(subject.fact("port")), "127.0.0.1");
  await client.goesOn();
  await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
  const notes: string[] = [];
  const clock = Date.now;
  Date.now = () => clock() + 3_600_000;
  using _clock = { [Symbol.dispose]: () => Date.now = clock };
  const tree = await restore(images.directory, { onEvent: collectNotes(notes) });
  assert.match(notes.join("\n"), /^the packets of 1 connection .* for 6\d minutes: .*ECONNRESET/m);
  await client.goesOn();
  await client.end();
  await subject.expectPass();
  await tree.wait();
});

/** What `inet_many` sends and receives by one connection, and how many of its connections are full. */
const FULL = 500_000, FEW = 20_000, FULL_ONES = 10, MANY = 100;

/** Sends to it and receives from it numbered bytes, as it does. @param go until when nothing is received */
async function exchange(port: number, total: number, go: Promise<void>): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const numbered = Uint8Array.from({ length: total }, (_, at) => at % 251);
  const send = async (): Promise<void> => {
    const kind = new TextEncoder().encode(total === FULL ? "f" : "q");
    for (const bytes of [kind, numbered.subarray(0, total / 2)]) await writeAll(connection, bytes);
    await go;
    await writeAll(connection, numbered.subarray(total / 2));
    await connection.closeWrite();
  };
  const receive = async (): Promise<void> => {
    await go;
    // One byte more would be one too many.
    const received = new Uint8Array(total + 1);
    let count = 0;
    for (let read: number | null = 0; read !== null; count += read ?? 0) {
      read = await connection.read(received.subarray(count));
    }
    assert.equal(count, total);
    assert.equal(numbered.findIndex((byte, at) => byte !== received[at]), -1);
  };
  await Promise.all([send(), receive()]);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

Deno.test("of a hundred connections, some of them full in both directions, no byte is lost, doubled or moved", async () => {
  using images = new ImageHome();
  const program = await buildProgram(MANY_PROGRAM, ["-I", SUBJECTS_DIR]);
  await using subject = await Subject.run(program);
  const port = Number(subject.fact("port"));
  const go = Promise.withResolvers<void>();
  const all = Promise.all(
    Array.from(
      { length: MANY },
      (_, index) => exchange(port, index < FULL_ONES ? FULL : FEW, go.promise),
    ),
  );
  all.catch(() => {});
  const isReady = () => {
    const own = [...readInetSockets(IPPROTO.TCP, [], { ports: [port] }).byInode.values()]
      .filter(({ source }) => source.port === port);
    const full = own.filter(({ receiveQueue, sendQueue }) => receiveQueue > 0 && sendQueue > 0);
    // The one that listens is there as well.
    return own.length === MANY + 1 && full.length >= FULL_ONES;
  };
  await waitUntil(isReady, "all to be connected, and some full", 30_000);
  await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
  const tree = await restore(images.directory);
  go.resolve();
  const verdict = subject.expectPass(60_000);
  // Should the clients fail, that is what is told.
  verdict.catch(() => {});
  await all;
  await verdict;
  await tree.wait();
});

Deno.test("connections to outside of a tree that runs on are not held back", async () => {
  await using subject = await startEcho();
  const client = await EchoClient.connect(Number(subject.fact("port")), "127.0.0.1");
  for (let time = 0; time < 3; time++) {
    using images = new ImageHome();
    await client.goesOn();
    const settings = { directory: images.directory, options: ESTABLISHED, leaveRunning: true };
    await checkpoint(subject.pid, settings);
    assert.ok(!openImages(images.directory).has(INET_LOCK, null));
  }
  await client.goesOn();
  await client.end();
  await subject.expectPass();
});

/** Connects a socket to a port of this machine. @returns as connect(2) */
function connectTo(socket: OwnedDescriptor, port: number): bigint {
  const bytes = Uint8Array.of(127, 0, 0, 1);
  const address = encodeAddress({ family: AF_INET, port, bytes, scope: 0 });
  return syscall(SYSCALLS.connect, socket.fd, address, address.byteLength);
}

/** A connection to a port of this machine. It is reset when it is closed. */
function connectRaw(port: number): OwnedDescriptor {
  const socket = makeSocket({ family: AF_INET, type: SOCK.STREAM, protocol: IPPROTO.TCP });
  assert.equal(connectTo(socket, port), 0n);
  const lingers = linger.make({ on: 1, seconds: 0 });
  const how = [SOL_SOCKET, SO.LINGER] as const;
  assert.equal(syscall(SYSCALLS.setsockopt, socket.fd, ...how, lingers, linger.size), 0n);
  return socket;
}

const MSG_OOB = 1, SO_ERROR = 4, ECONNREFUSED = 111;
for (
  const [what, act] of [
    ["a reset", (socket) => socket[Symbol.dispose]()],
    [
      "urgent data",
      ({ fd }) =>
        assert.equal(syscall(SYSCALLS.sendto, fd, Uint8Array.of(1), 1, MSG_OOB, 0, 0), 1n),
    ],
  ] satisfies [string, (socket: OwnedDescriptor) => void][]
) {
  Deno.test(`${what} that comes between the survey and the look at connections has it tried again`, async () => {
    using images = new ImageHome();
    await using subject = await startEcho();
    const port = Number(subject.fact("port"));
    const client = await EchoClient.connect(port, "127.0.0.1");
    using socket = connectRaw(port);
    // The server takes them in their order, so that both have been accepted.
    assert.equal(syscall(SYSCALLS.sendto, socket.fd, Uint8Array.of(1), 1, 0, 0, 0), 1n);
    assert.equal(syscall(SYSCALLS.recvfrom, socket.fd, new Uint8Array(1), 1, 0, 0, 0), 1n);
    let attempts = 0;
    const comes = {
      name: "comes",
      description: "what comes in the meantime",
      before: ["inet"],
      checkpoint: () => ({
        hold() {
          if (attempts++ === 0) act(socket);
        },
      }),
    };
    const made = checkpoint(subject.pid, {
      directory: images.directory,
      options: ESTABLISHED,
      plugins: [comes],
    });
    await made;
    assert.ok(attempts > 1, "the first attempt has not met it");
    const tree = await restore(images.directory);
    await client.end();
    tree.kill(9);
    await tree.wait();
  });
}

/** Python that tells its port, when urgent data has come by a connection, and what has, once there is a file \`go\`. */
const URGENT = `
import os, select, socket, time
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
one, _ = listener.accept()
waits = select.poll(); waits.register(one, select.POLLPRI); waits.poll()
print("urgent", flush=True)
while not os.path.exists("go"): time.sleep(0.05)
print(one.recv(10), one.recv(1, socket.MSG_OOB), one.recv(10), flush=True)
one.sendall(one.recv(10))
`;

Deno.test("urgent data from outside comes back where it was, and the connection goes on", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", URGENT] });
  const lines = () => subject.output().split("\n");
  await waitUntil(() => lines().length > 1, () => `its port: ${subject.errors()}`);
  using socket = connectRaw(Number(lines()[0]));
  const send = (text: string, flags: number): void => {
    const bytes = new TextEncoder().encode(text);
    const sent = syscall(SYSCALLS.sendto, socket.fd, bytes, bytes.byteLength, flags, 0, 0);
    assert.equal(sent, BigInt(bytes.byteLength));
  };
  send("abc", 0);
  send("X", MSG_OOB);
  send("def", 0);
  await waitUntil(() => lines()[1] === "urgent", "it has come");
  await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
  await subject.waitGone();
  const tree = await restore(images.directory);
  Deno.writeTextFileSync(`${subject.cwd}/go`, "");
  await waitUntil(() => lines().length > 3, () => `what has come: ${subject.output()}`, 30_000);
  assert.equal(lines()[2], "b'abc' b'X' b'def'");
  send("back", 0);
  const answer = new Uint8Array(4);
  assert.equal(syscall(SYSCALLS.recvfrom, socket.fd, answer, 4, 0, 0, 0), 4n);
  assert.deepEqual(await tree.wait(), { code: 0 });
});

Deno.test("connections from outside that wait to be accepted are left to the program, whether it runs on or is to end", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  Deno.kill(subject.pid, "SIGSTOP");
  await waitUntil(() => readStat(subject.pid).state === "T", "it stands still");
  const first = await EchoClient.connect(port, "127.0.0.1");
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: `${images.directory}-1`,
    options: ESTABLISHED,
    leaveRunning: true,
    onEvent: collectNotes(notes),
  });
  assert.match(notes.join("\n"), /that wait to be accepted \(1\) are left out/);
  // Of one that is to end it is waited until it has accepted them; who connects after that is not accepted any more.
  using late = makeSocket({
    family: AF_INET,
    type: SOCK.STREAM | O.NONBLOCK,
    protocol: IPPROTO.TCP,
  });
  const comes = {
    name: "comes",
    description: "goes on before the tree is stopped, and connects after that",
    before: ["inet"],
    checkpoint: () => ({
      quiesce: () => Deno.kill(subject.pid, "SIGCONT"),
      hold: () => assert.ok(connectTo(late, port) < 0n, "it is connected"),
    }),
  };
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: ESTABLISHED,
    plugins: [comes],
  });
  const tree = await restore(images.directory);
  await first.goesOn();
  const error = readNumber(late.fd, SO_ERROR);
  assert.ok(error === 0 || error === ECONNREFUSED, `the connection has the error ${error}`);
  await first.end();
  late[Symbol.dispose]();
  await subject.expectPass();
  await tree.wait();
});

Deno.test("--skip-in-flight: a connection from outside that waits to be accepted is reset when the tree ends, and others go on", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  const accepted = await EchoClient.connect(port, "127.0.0.1");
  await accepted.goesOn();
  Deno.kill(subject.pid, "SIGSTOP");
  await waitUntil(() => readStat(subject.pid).state === "T", "it stands still");
  using waits = await Deno.connect({ port });
  const { directory } = images;
  const refused = await failureOf(checkpoint(subject.pid, { directory, options: ESTABLISHED }));
  assert.match(refused.problems.map(({ hint }) => hint).join(), /--skip-in-flight/);
  await checkpoint(subject.pid, { directory, options: { ...ESTABLISHED, skipInFlight: true } });
  await assert.rejects(waits.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  const tree = await restore(directory);
  Deno.kill(subject.pid, "SIGCONT");
  await accepted.goesOn();
  await accepted.end();
  await subject.expectPass();
  await tree.wait();
});

Deno.test("a checkpoint that fails lets the packets of connections pass again", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  const client = await EchoClient.connect(port, "127.0.0.1");
  await client.goesOn();
  const fails = {
    name: "fails",
    description: "fails when all is saved",
    after: ["inet"],
    checkpoint: () => ({
      dumpLast() {
        throw new StasisError("io", "it fails");
      },
    }),
  };
  await assert.rejects(
    checkpoint(subject.pid, {
      directory: images.directory,
      options: ESTABLISHED,
      plugins: [fails],
    }),
    /it fails/,
  );
  assert.deepEqual(tablesOf(port), []);
  await client.goesOn();
  await client.end();
  await subject.expectPass();
});

Deno.test("a restore that fails can be made again, and the other end sees nothing of it", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const client = await EchoClient.connect(Number(subject.fact("port")), "127.0.0.1");
  await client.goesOn();
  using idle = await Deno.connect({ port: Number(subject.fact("port")) });
  await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
  await subject.waitGone();
  const fails = {
    name: "fails",
    description: "fails when all is built",
    restore: () => ({
      armThread() {
        throw new StasisError("io", "it fails");
      },
    }),
  };
  await assert.rejects(restore(images.directory, { plugins: [fails] }), /it fails/);
  // What fails when the tree is whole and has its connections is told, and ends nothing.
  const late = {
    name: "late",
    description: "fails when the tree is to run",
    restore: () => ({
      finish() {
        throw new StasisError("io", "it fails late");
      },
    }),
  };
  const notes: string[] = [];
  const onEvent = collectNotes(notes);
  const tree = await restore(images.directory, { plugins: [late], onEvent });
  assert.match(notes.join("\n"), /^the tree runs, but .*: it fails late$/m);
  await client.goesOn();
  await idle.write(Uint8Array.of(7));
  const answer = new Uint8Array(1);
  assert.equal(await idle.read(answer), 1);
  assert.equal(answer[0], 7);
  await client.end();
  await subject.expectPass();
  await tree.wait();
});

/** A restore by a tool that is killed when packets pass again, or just before, and the tree does not run yet. */
const KILLED_AT_LAST = `
import { restore } from "${new URL("../../mod.ts", import.meta.url)}";
const kills = {
  name: "kills",
  description: "kills the tool just before the tree runs",
  [Deno.args[1]]: ["inet"],
  restore: () => ({ finish: () => Deno.kill(Deno.pid, "SIGKILL") }),
};
await restore(Deno.args[0], { plugins: [kills] });
`;

for (const [when, order] of [["nothing holds", "after"], ["something still holds", "before"]]) {
  Deno.test(`connections go on whose restore is killed when ${when} them back`, async () => {
    using images = new ImageHome();
    await using subject = await startEcho();
    const client = await EchoClient.connect(Number(subject.fact("port")), "127.0.0.1");
    await client.goesOn();
    await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
    await subject.waitGone();
    const script = `${subject.cwd}/../tool.ts`;
    Deno.writeTextFileSync(script, KILLED_AT_LAST);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const run = ["run", "-A", "--no-check", "--config", config, script, images.directory, order];
    const { signal } = await new Deno.Command(Deno.execPath(), {
      args: run as string[],
      stdin: "null",
    }).output();
    assert.equal(signal, "SIGKILL");
    assert.ok(subject.alive);
    await client.goesOn();
    await client.end();
    await subject.expectPass();
  });
}

Deno.test("a connection that is there still is refused before anything is built, and is left alone", async () => {
  using images = new ImageHome();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const script = `exec 5<>/dev/tcp/127.0.0.1/${port}; read line <&5; echo $line >&5`;
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  using connection = await listener.accept();
  const settings = { directory: images.directory, options: ESTABLISHED, leaveRunning: true };
  await checkpoint(subject.pid, settings);
  const begun: string[] = [];
  const error = await failureOf(restore(images.directory, {
    options: { newPidNamespace: true },
    onEvent: (event) => {
      if (event.kind === "phase") begun.push(event.phase);
    },
  }));
  assert.match(error.problems.map(({ what }) => what).join("\n"), /is there already: socket:/);
  assert.ok(!begun.includes("build"), begun.join(" "));
  await connection.write(new TextEncoder().encode("hello\n"));
  const answer = new Uint8Array(6);
  assert.equal(await connection.read(answer), 6);
});

/** Has this machine throw away what comes from a port, for a scope. */
function throwAway(port: number): Disposable {
  const table = `stasis_test_${Deno.pid}`;
  const rule = new NfTables();
  rule.run([
    newTable(table, true),
    newChain(table, "input", 0),
    newSet(table, "ports", 1, [KEY.PORT]),
    ...newElements(table, "ports", [[Uint8Array.of(port >> 8, port & 0xff)]]),
    newRule(table, "input", [
      ...whereMeta(META.L4PROTO, Uint8Array.of(IPPROTO.TCP)),
      ...whereInSet("ports", [{ base: PAYLOAD.TRANSPORT, offset: 0, size: KEY.PORT.size }]),
      drop(),
    ]),
  ]);
  return {
    [Symbol.dispose]() {
      rule.run([deleteTable(table)]);
      rule[Symbol.dispose]();
    },
  };
}

Deno.test("somebody from outside who is half connected does not matter: he asks again, and finds the restored program", async () => {
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  using client = makeSocket({
    family: AF_INET,
    type: SOCK.STREAM | O.NONBLOCK,
    protocol: IPPROTO.TCP,
  });
  const halves = () =>
    readInetSockets(IPPROTO.TCP).nobodys.filter(({ state, source }) =>
      state === TCP.SYN_RECV && source.port === port
    );
  const notes: string[] = [];
  const save = (leaveRunning: boolean) =>
    checkpoint(subject.pid, {
      directory: `${images.directory}-${leaveRunning}`,
      options: ESTABLISHED,
      leaveRunning,
      onEvent: collectNotes(notes),
    });
  let tree;
  {
    using _ = throwAway(port);
    connectTo(client, port);
    await waitUntil(() => halves().length === 1, "it is half connected");
    await save(true);
    await waitUntil(() => halves().length === 1, "it is half connected still");
    await save(false);
    await subject.waitGone();
    tree = await restore(`${images.directory}-false`);
  }
  assert.deepEqual(notes, []);
  const writes = () => syscall(SYSCALLS.sendto, client.fd, Uint8Array.of(7), 1, 0, 0, 0);
  await waitUntil(() => writes() === 1n, "it is connected", 30_000);
  const answer = new Uint8Array(1);
  const reads = () => syscall(SYSCALLS.recvfrom, client.fd, answer, 1, 0, 0, 0);
  await waitUntil(() => reads() === 1n, "an answer", 30_000);
  client[Symbol.dispose]();
  await subject.expectPass();
  await tree.wait();
});

Deno.test("an end of data that the machine's own rules throw away makes the restore fail, not the program wait", async () => {
  using images = new ImageHome();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const script =
    `exec 5<>/dev/tcp/127.0.0.1/${port}; read go <&5; until [ -e go ]; do sleep 0.1; done
    if read more <&5; then exit 7; fi`;
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  using connection = await listener.accept();
  await connection.write(new TextEncoder().encode("go\n"));
  await waitUntil(() => processTree(subject.pid).length > 1, "the shell to sleep");
  await connection.closeWrite();
  await checkpoint(subject.pid, { directory: images.directory, options: ESTABLISHED });
  await subject.waitGone();
  const rule = throwAway(port);
  const error = await failureOf(restore(images.directory));
  assert.equal(error.code, "conflict", error.message);
  assert.match(error.message, /throws away packets/);
  rule[Symbol.dispose]();
  const tree = await restore(images.directory);
  Deno.writeTextFileSync(`${subject.cwd}/go`, "");
  assert.deepEqual(await tree.wait(), { code: 0 });
});

Deno.test("without CAP_NET_ADMIN connections are refused before anything is touched or built", async () => {
  using images = new ImageHome();
  const through = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"];
  await using subject = await startEcho();
  using idle = await Deno.connect({ port: Number(subject.fact("port")) });
  const echoes = async (byte: number): Promise<void> => {
    await idle.write(Uint8Array.of(byte));
    const answer = new Uint8Array(1);
    await idle.read(answer);
    assert.equal(answer[0], byte);
  };
  await echoes(1);
  const { directory } = images;
  const saving = ["checkpoint", String(subject.pid), "-D", directory, "--tcp-established"];
  const unsaved = await stasis(saving, { through });
  assert.equal(unsaved.status, EXIT_STATUS.unsupported, unsaved.stderr);
  assert.match(unsaved.stderr, /cannot be read without CAP_NET_ADMIN/);
  await echoes(2);
  await checkpoint(subject.pid, { directory, options: ESTABLISHED });
  await subject.waitGone();
  const unbuilt = await stasis(["restore", directory], { through });
  assert.match(unbuilt.stderr, /cannot be restored without CAP_NET_ADMIN/);
  const tree = await restore(directory);
  await echoes(3);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("connections of a tree are ended in silence, whoever else of it was killed, and whatever a plugin says", async () => {
  using images = new ImageHome();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const script = `for time in 1 2; do
    (exec 5<>/dev/tcp/127.0.0.1/${port}; exec sleep 1000) & done
    while :; do wait; done`;
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  const connections = [await listener.accept(), await listener.accept()] as const;
  const children = () => processTree(subject.pid).filter((pid) => pid !== subject.pid);
  for (const child of children()) await becomesSleep(child);
  const fails = {
    name: "fails",
    description: "kills one and fails, when the images are there",
    before: ["inet"],
    checkpoint: () => ({
      end({ tasks }: FrozenTree) {
        const [, child] = tasks;
        Deno.kill(child!.pid, "SIGKILL");
        while (readStat(child!.pid).state !== "Z");
        throw new StasisError("io", "it fails");
      },
    }),
  };
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: ESTABLISHED,
    plugins: [fails],
    onEvent: (event) => {
      if (event.kind === "note") notes.push(event.text);
    },
  });
  assert.ok(!subject.alive);
  assert.match(notes.join("\n"), /was not made ready for it: it fails/);
  openLock(openImages(images.directory).read(INET_LOCK, null).table);
  // The end of the one that was killed comes; of the other connection nothing is left that could say anything.
  const ended = await Promise.any(connections.map(async (connection) => {
    assert.equal(await connection.read(new Uint8Array(1)), null);
    return connection;
  }));
  const [silent] = connections.filter((connection) => connection !== ended);
  const { nobodys } = readInetSockets(IPPROTO.TCP);
  const end = (silent!.remoteAddr as Deno.NetAddr).port;
  // Others' connections may be from a port of the same number.
  assert.ok(!nobodys.some(({ source, target }) => source.port === end && target.port === port));
  for (const connection of connections) connection.close();
});
