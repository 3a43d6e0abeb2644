/**
 * Sockets of networks: their addresses, options and what waits in them come back; a checkpoint that lets the program run
 * leaves all of it in place; and what cannot be saved is refused with the reason.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { checkpoint, restore } from "../harness/operations.ts";
import { buildProgram, SUBJECTS_DIR } from "../harness/build.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import { EXIT_STATUS, type StasisError } from "../../base/errors.ts";
import { errnoName } from "../../core/linux/errno.ts";
import { IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { processTree, waitUntil } from "../harness/processes.ts";
import { BLIND, stasis } from "../harness/stasis_command.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import {
  bringsBack,
  collectNotes,
  ImageHome,
  leavesAlone,
  notesOfSaving,
  problemsOf,
  startSleeper,
} from "./round_trip.ts";

const REFUSED = fileURLToPath(new URL("./programs/inet_refused.c", import.meta.url));

/** Lets everybody have ICMP sockets, for a scope. */
function allowingIcmp(): Disposable {
  const path = "/proc/sys/net/ipv4/ping_group_range";
  const before = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, "0 2147483647");
  return { [Symbol.dispose]: () => Deno.writeTextFileSync(path, before) };
}

for (const [name, variants] of Object.entries(VARIANTS)) {
  if (!name.startsWith("inet_")) continue;
  for (const args of variants) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, async (t) => {
      using _allowed = allowingIcmp();
      await bringsBack(t, name, { args });
    });
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, async (t) => {
      using _allowed = allowingIcmp();
      await leavesAlone(t, name, { args });
    });
  }
}

for (
  const [mode, reason] of [
    ["raw", /has messages waiting, which the kernel would take for its own, too/],
    ["filter", /has a filter of eBPF attached/],
  ] as const
) {
  Deno.test(`an internet socket with ${mode} is refused with the reason, and left alone`, async (t) => {
    const program = await buildProgram(REFUSED, ["-I", SUBJECTS_DIR]);
    await using subject = await Subject.run(program, { args: [mode] });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const problems = await problemsOf(subject.pid);
    assert.ok(problems.length > 0);
    for (const { what } of problems) assert.match(what, reason);
    await subject.expectPass();
  });
}

for (
  const [mode, reason] of [
    ["urgent", /has urgent data \(MSG_OOB\) waiting/],
    ["mark", /has data behind a mark of urgent data/],
    ["more", /a message that is begun and not sent/],
    ["corked", /a message that is begun and not sent/],
    ["packet", /has messages waiting, which cannot be read here/],
  ] as const
) {
  Deno.test(`an internet socket with ${mode} is refused where the kernel's memory cannot be read, and left alone`, async () => {
    const program = await buildProgram(REFUSED, ["-I", SUBJECTS_DIR]);
    await using subject = await Subject.run(program, { args: [mode] });
    using images = new ImageHome();
    const saving = ["checkpoint", String(subject.pid), "-D", images.directory];
    const refused = await stasis(saving, { through: BLIND });
    assert.equal(refused.status, EXIT_STATUS.unsupported, refused.stderr);
    assert.match(refused.stderr, reason);
    assert.match(refused.stderr, /CAP_BPF and CAP_PERFMON/);
    await subject.expectPass();
  });
}

Deno.test("packets that wait in a raw socket are not put into one of somebody else: the restore waits for its end", async () => {
  using _allowed = allowingIcmp();
  await using subject = await Subject.start("inet_waiting");
  assert.equal(subject.fact("icmp"), "1");
  using images = new ImageHome();
  await checkpoint(subject.pid, { directory: images.directory });
  await subject.waitGone();
  const protocol = 143 + subject.pid % 100;
  const program = `use Socket; $| = 1; socket(my $s, PF_INET, SOCK_RAW, ${protocol}) or die;
    print "ready"; sleep 1000`;
  await using stranger = await Subject.spawn("/usr/bin/perl", { args: ["-e", program] });
  await waitUntil(() => stranger.output() === "ready", "it is ready");
  await assert.rejects(restore(images.directory), (error: StasisError) => {
    const problems = (error.problems ?? []).map(({ what }) => what).join("\n");
    assert.match(problems, /raw socket of protocol \d+ socket:\[\d+\] would get into another one/);
    return true;
  });
  Deno.kill(stranger.pid, "SIGKILL");
  await stranger.waitGone();
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
});

for (const name of ["inet_unaccepted", "inet_orphaned", "inet_urgent"]) {
  Deno.test(`${name}: images of a tree that ran on bring it back when that has been killed`, async () => {
    await using subject = await Subject.start(name);
    using images = new ImageHome();
    const notes = await notesOfSaving(subject.pid, images.directory);
    assert.deepEqual(notes, []);
    Deno.kill(subject.pid, "SIGKILL");
    await subject.waitGone();
    const tree = await restore(images.directory);
    await subject.expectPass();
    await tree.wait();
  });
}

Deno.test("a connection that a stranger of this machine has made and closed comes back to be accepted, unless it cannot be read", async () => {
  const program = `use Socket; $^F = 9; socket(my $s, PF_INET, SOCK_STREAM, 0);
    bind($s, pack_sockaddr_in(0, INADDR_LOOPBACK)); listen($s, 3);
    if (!fork) { socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, getsockname($s)) or die; send($c, "words", 0);
      close $c; exit } wait; exec "sleep", 1000`;
  await using subject = await startSleeper(`exec perl -e '${program}'`);
  using images = new ImageHome();
  const saving = ["checkpoint", String(subject.pid), "-D", images.directory];
  const refused = await stasis(saving, { through: BLIND });
  assert.equal(refused.status, EXIT_STATUS.unsupported, refused.stderr);
  assert.match(
    refused.stderr,
    /with 1 connections that wait to be accepted .* closed at the other/,
  );
  assert.match(refused.stderr, /--skip-in-flight/);
  await checkpoint(subject.pid, { directory: images.directory });
  await subject.waitGone();
  const tree = await restore(images.directory);
  const inodes = [...Deno.readDirSync(`/proc/${subject.pid}/fd`)].flatMap(({ name }) =>
    /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/${subject.pid}/fd/${name}`))?.[1] ?? []
  );
  const { byInode, nobodys } = readInetSockets(IPPROTO.TCP);
  const [listener] = inodes.map((inode) => byInode.get(Number(inode)));
  assert.equal(listener?.receiveQueue, 1);
  const waits = nobodys.filter(({ source, state }) =>
    state === TCP.CLOSE_WAIT && source.port === listener?.source.port
  );
  // Its end has a number like a byte.
  assert.deepEqual(waits.map(({ receiveQueue }) => receiveQueue), ["words".length + 1]);
  tree.kill(15);
  await tree.wait();
});

Deno.test("connections that wait to be accepted with something in them are refused where that cannot be read, and the client is left alone", async () => {
  const program = `use Socket; $^F = 9; socket(my $s, PF_INET, SOCK_STREAM, 0);
    bind($s, pack_sockaddr_in(0, INADDR_LOOPBACK)); listen($s, 3);
    socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, getsockname($s)) or die; send($c, "x", 0);
    exec "sleep", 1000`;
  await using subject = await startSleeper(`exec perl -e '${program}'`);
  using images = new ImageHome();
  const saving = ["checkpoint", String(subject.pid), "-D", images.directory];
  const refused = await stasis(saving, { through: BLIND });
  assert.equal(refused.status, EXIT_STATUS.unsupported, refused.stderr);
  assert.match(refused.stderr, /with 1 connections that wait to be accepted at 127\.0\.0\.1:\d+/);

  // Left out is what waits, but not what the tree has of it.
  const lone = await stasis([...saving, "--skip-in-flight"], { through: BLIND });
  assert.equal(lone.status, EXIT_STATUS.unsupported, lone.stderr);
  assert.match(lone.stderr, /whose other end in the tree waits to be accepted and is left/);
  const options = { skipInFlight: true, tcpClose: true };
  await checkpoint(subject.pid, { directory: images.directory, options });
  const tree = await restore(images.directory);
  const inodes = [...Deno.readDirSync(`/proc/${subject.pid}/fd`)].flatMap(({ name }) =>
    /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/${subject.pid}/fd/${name}`))?.[1] ?? []
  );
  const { byInode } = readInetSockets(IPPROTO.TCP);
  const own = inodes.map((inode) => byInode.get(Number(inode)));
  assert.deepEqual(own.map((one) => [one?.state, one?.receiveQueue]), [
    [TCP.LISTEN, 0],
    [TCP.CLOSE, 0],
  ]);
  tree.kill(15);
  await tree.wait();
});

Deno.test("an error that waits in a UDP socket stays with a program that runs on, and is left out of images", async () => {
  // What it sends to a port of nobody comes back as an error; it tells in the end what it finds.
  const program =
    `use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 0); socket(my $t, PF_INET, SOCK_DGRAM, 0);
    bind($t, pack_sockaddr_in(0, INADDR_LOOPBACK)); connect($s, getsockname($t)); close($t);
    send($s, "x", 0); my $ends = 0; $SIG{TERM} = sub { $ends = 1 }; $| = 1; print "ready";
    sleep 1 while !$ends; recv($s, my $bytes, 9, 64); my $e = $! + 0;
    open(F, ">", "found"); print F $e`;
  await using subject = await Subject.spawn("perl", { args: ["-e", program] });
  await waitUntil(() => subject.output() === "ready", "it is ready");
  using images = new ImageHome();
  const notes = await notesOfSaving(subject.pid, images.directory);
  assert.match(notes.join("\n"), /the error that waits in socket:\[\d+\] is left out/);
  const found = () => Deno.readTextFileSync(`${subject.cwd}/found`);
  Deno.kill(subject.pid, "SIGTERM");
  await subject.waitGone();
  assert.equal(errnoName(BigInt(found())), "ECONNREFUSED");
  const tree = await restore(images.directory);
  tree.kill(15);
  await tree.wait();
  assert.equal(errnoName(BigInt(found())), "EAGAIN");
});

Deno.test("datagrams that wait behind an error are saved without that, and stay behind it in a program that runs on", async () => {
  // The other one sends some, of none, one and many bytes, and is gone when it is answered.
  const program = `
import errno, signal, socket
def behind(family, address):
    one, other = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
    for each in (one, other): each.bind((address, 0))
    one.connect(other.getsockname())
    for size in (3000, 0, 1): other.sendto(b"x" * size, one.getsockname())
    name = other.getsockname()
    other.close()
    one.send(b"y")
    return one, name
made = [behind(socket.AF_INET, "127.0.0.1"), behind(socket.AF_INET6, "::1"), behind(socket.AF_INET6, "::ffff:127.0.0.1")]
def look(one, name):
    try:
        data, sender = one.recvfrom(9999, socket.MSG_DONTWAIT)
        return str(len(data)) if sender == name else "from another one"
    except OSError as error:
        return errno.errorcode[error.errno]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
with open("found", "w") as file:
    for one, name in made:
        while (got := look(one, name)) != "EAGAIN": file.write(got + " ")
`;
  await using subject = await Subject.spawn("python3", { args: ["-c", program] });
  await waitUntil(() => subject.output() === "ready\n", "it is ready");
  using images = new ImageHome();
  const notes: string[] = [];
  const { directory } = images;
  await checkpoint(subject.pid, { directory, leaveRunning: true, onEvent: collectNotes(notes) });
  assert.match(notes.join("\n"), /the error that waits in socket:\[\d+\] is left out/);
  const found = () => Deno.readTextFileSync(`${subject.cwd}/found`);
  Deno.kill(subject.pid, "SIGTERM");
  await subject.waitGone();
  assert.equal(found(), "ECONNREFUSED 3000 0 1 ".repeat(3));
  const tree = await restore(directory);
  tree.kill(15);
  await tree.wait();
  assert.equal(found(), "3000 0 1 ".repeat(3));
});

Deno.test("a connection to outside is refused, with both of its ends named, or closed", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const accepting = listener.accept();
  await using subject = await startSleeper(`exec 5<>/dev/tcp/127.0.0.1/${port}`);
  using connection = await accepting;
  const [problem, ...others] = await problemsOf(subject.pid);
  assert.equal(others.length, 0);
  assert.match(
    problem?.what ?? "",
    new RegExp(`connected from 127.0.0.1:\\d+ to 127.0.0.1:${port}`),
  );
  assert.match(problem?.hint ?? "", /--tcp-established/);

  using images = new ImageHome();
  await checkpoint(subject.pid, { directory: images.directory, options: { tcpClose: true } });
  assert.equal(await connection.read(new Uint8Array(1)), null);
  const tree = await restore(images.directory);
  tree.kill(15);
  await tree.wait();
});

Deno.test("a connection that was saved to go on is closed by a restore that is asked for it, and its other end is told when it sends", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  const program = `exec 5<>/dev/tcp/127.0.0.1/${listener.addr.port}; read go <&5
    until [ -e go ]; do sleep 0.05; done; read -r line <&5; exec echo "$? $line"`;
  await using subject = await Subject.spawn("bash", { args: ["-c", program] });
  using connection = await accepting;
  await connection.write(new TextEncoder().encode("go\n"));
  await waitUntil(() => processTree(subject.pid).length > 1, "it to wait");
  await connection.write(new TextEncoder().encode("lost\n"));
  using images = new ImageHome();
  const options = { tcpEstablished: true };
  await checkpoint(subject.pid, { directory: images.directory, options });
  const tree = await restore(images.directory, { options: { tcpClose: true } });
  // It is told when it sends something.
  await connection.write(new TextEncoder().encode("late\n"));
  await assert.rejects(connection.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  Deno.writeTextFileSync(`${subject.cwd}/go`, "");
  await tree.wait();
  assert.equal(subject.output(), "1 \n");
});

Deno.test("a connection to outside that was reset comes back so; where its error cannot be read it is refused, or closed", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const program = `use Socket; $| = 1; socket(my $s, PF_INET, SOCK_STREAM, 0);
    connect($s, pack_sockaddr_in(${listener.addr.port}, INADDR_LOOPBACK)) or die; syswrite($s, "x");
    my $woken = 0; local $SIG{USR1} = sub { $woken = 1 }; sleep 1 until $woken;
    print unpack("i", getsockopt($s, SOL_SOCKET, SO_ERROR)), sysread($s, my $byte, 1), "\\n"; sleep 1000`;
  const accepting = listener.accept();
  // Without what the tool is without, which has to look whether it can restore the images.
  const [setpriv = "", ...args] = [...BLIND, "/usr/bin/perl", "-e", program];
  await using subject = await Subject.spawn(setpriv, { args });
  const connection = await accepting;
  const inode = () => readInetSockets(IPPROTO.TCP, [], { ports: [listener.addr.port] }).byInode;
  const { port } = connection.remoteAddr as Deno.NetAddr;
  await waitUntil(() => inode().values().some((one) => one.receiveQueue > 0), "it to have come");
  // Closing with something unread resets it.
  connection.close();
  await waitUntil(() => inode().values().every(({ source }) => source.port !== port), "a reset");
  using images = new ImageHome();
  using closed = new ImageHome();
  const saving = ["checkpoint", String(subject.pid), "-R", "-D", closed.directory];
  const refused = await stasis(saving, { through: BLIND });
  assert.equal(refused.status, EXIT_STATUS.unsupported, refused.stderr);
  assert.match(refused.stderr, /was reset or given up, and has an error waiting/);
  const taken = await stasis([...saving, "--tcp-close"], { through: BLIND });
  assert.equal(taken.status, 0, taken.stderr);

  await checkpoint(subject.pid, { directory: images.directory });
  // It was reset behind its end (EPIPE).
  for (const [{ directory }, said] of [[images, "320"], [closed, "00"]] as const) {
    const before = subject.output().length;
    const tree = await restore(directory);
    tree.kill(10);
    await waitUntil(() => subject.output().length > before, "what it reads");
    assert.equal(subject.output().slice(before), `${said}\n`);
    tree.kill(15);
    await tree.wait();
  }
});
