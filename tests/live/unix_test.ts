/**
 * Unix sockets: whatever waits in them, whoever has which end, comes back; a checkpoint that lets the program run
 * leaves all of it in place; and what cannot be saved is refused with the reason.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { FILES, SK_QUEUES } from "../../images/kinds/files.ts";
import { checkpoint, openImages, restore, type StasisError } from "../../mod.ts";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { chooseBackend } from "../../plugins/sud/choose_backend.ts";
import { buildProgram, SUBJECTS_DIR } from "../harness/build.ts";
import { readStat } from "../../core/linux/procfs/mod.ts";
import { EXIT_STATUS } from "../../base/errors.ts";
import { skip } from "../harness/skip.ts";
import { BLIND, stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { waitUntil } from "../harness/processes.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import {
  bringsBack,
  ImageHome,
  leavesAlone,
  notesOfSaving,
  problemsOf,
  startSleeper,
} from "./round_trip.ts";

for (const [name, variants] of Object.entries(VARIANTS)) {
  if (!name.startsWith("unix_")) continue;
  for (const args of variants) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) => bringsBack(t, name, { args }));
    Deno.test(
      `${title}: a checkpoint that lets it run changes nothing`,
      (t) => leavesAlone(t, name, { args }),
    );
  }
}

for (const kind of ["stream", "seqpacket"]) {
  Deno.test({
    name: `unix_pairs ${kind} under Syscall User Dispatch and seccomp`,
    ignore: ownInability() !== undefined || !chooseBackend().usable,
    async fn(t) {
      const flags = ["-include", `${SUBJECTS_DIR}/confined.h`];
      // SIGSYS comes and goes.
      const ignore = [/\/status\/(SigBlk|SigPnd|SigQ)$/];
      await bringsBack(t, "unix_pairs", { args: [kind], flags, ignore });
      await leavesAlone(t, "unix_pairs", { args: [kind], flags, ignore });
    },
  });
}

Deno.test("what is sent after a checkpoint that lets the program run is not in its images", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("unix_pairs", { args: ["seqpacket"] });
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  await subject.expectPass();
  await subject.waitGone();
  // Everything was received meanwhile, and is there once more.
  const said = subject.output().length;
  const tree = await restore(images.directory);
  tree.kill(15);
  await tree.wait();
  const again = subject.output().slice(said);
  assert.match(again, /^verdict PASS$/m, again);
});

Deno.test("the images have each message by itself, and streams whole", async () => {
  for (const [kind, lengths] of [["dgram", [100, 200, 0, 300]], ["stream", [600]]] as const) {
    using images = new ImageHome();
    await using subject = await Subject.start("unix_pairs", { args: [kind] });
    await checkpoint(subject.pid, images);
    const saved = openImages(images.directory);
    const messages = [...saved.readEntries(SK_QUEUES, null)];
    const first = messages.find(({ message }) => message.length === lengths[0])?.message.idFor;
    const found = messages.filter(({ message }) => message.idFor === first);
    assert.deepEqual(found.map(({ message }) => message.length), lengths);
    const ends = saved.readList(FILES, null).flatMap(({ usk }) => usk ?? []);
    for (const { ino, peer } of ends) {
      if (peer === 0) continue;
      assert.equal(ends.find((other) => other.ino === peer)?.peer, ino, `peer of socket:[${ino}]`);
    }
  }
});

const PROGRAMS = fileURLToPath(new URL("./programs", import.meta.url));

/** Starts `unix_refused` in one of its modes. */
async function startRefused(...args: string[]): Promise<Subject> {
  const flags = ["-I", SUBJECTS_DIR];
  return await Subject.run(await buildProgram(`${PROGRAMS}/unix_refused.c`, flags), { args });
}

for (
  const [mode, reason] of [
    ["locked", /a file in flight \(.*locked\) is locked \(FLOCK\)/],
    ["error", /messages behind an error/],
    ["filter", /filter of eBPF attached/],
  ] as const
) {
  Deno.test(`a socket with ${mode} is refused with the reason, and left alone`, async (t) => {
    await using subject = await startRefused(mode);
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    for (let time = 0; time < 2; time++) {
      const problems = await problemsOf(subject.pid);
      assert.equal(problems.length, 1, problems.map(({ what }) => what).join("\n"));
      assert.equal(problems[0]?.plugin, mode === "locked" ? "locks" : "unix");
      assert.match(problems[0]?.what ?? "", reason);
      assert.ok(problems[0]?.hint !== undefined);
    }
    await subject.expectPass();
  });
}

for (
  const [mode, reason] of [
    ["urgent", /has urgent data \(MSG_OOB\) waiting/],
    ["unread", /has sent something to a connection that is not accepted yet/],
    ["hasty", /waiting to be accepted whose other end is closed/],
  ] as const
) {
  Deno.test(`a socket with ${mode} is refused where the kernel's memory cannot be read, and left alone`, async () => {
    await using subject = await startRefused(mode);
    using images = new ImageHome();
    const saving = ["checkpoint", String(subject.pid), "-D", images.directory];
    const refused = await stasis(saving, { through: BLIND });
    assert.equal(refused.status, EXIT_STATUS.unsupported, refused.stderr);
    assert.match(refused.stderr, reason);
    await subject.expectPass();
  });
}

Deno.test("--skip-in-flight leaves out a connection that waits and that nobody can read", async () => {
  await using subject = await startRefused("hasty");
  using images = new ImageHome();
  const options = { skipInFlight: true };
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true, options });
  const sockets = openImages(images.directory).readList(FILES, null).flatMap(({ usk }) =>
    usk ?? []
  );
  assert.deepEqual(sockets.map(({ state }) => state).sort(), [1, 1, 10]);
  await subject.expectPass();
});

Deno.test("connections from outside that wait are left to the program, whether it runs on or is to end", async () => {
  using images = new ImageHome();
  const server = `use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0);
    bind(S, pack_sockaddr_un("socket")) && listen(S, 5) or die;
    for (;;) { accept(C, S) or next; syswrite(C, "x"); close(C) }`;
  await using subject = await Subject.spawn("perl", { args: ["-e", server] });
  const path = `${subject.cwd}/socket`;
  const connect = async (): Promise<Deno.UnixConn> => {
    for (;;) {
      try {
        return await Deno.connect({ transport: "unix", path });
      } catch {
        assert.ok(subject.alive, subject.errors());
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  };
  const isServed = async (connection: Deno.UnixConn): Promise<void> => {
    assert.equal(await new Response(connection.readable).text(), "x");
  };
  await isServed(await connect());
  Deno.kill(subject.pid, "SIGSTOP");
  await waitUntil(() => readStat(subject.pid).state === "T", "it stands still");
  const waits = await connect();
  const notes = await notesOfSaving(subject.pid, `${images.directory}-1`);
  assert.match(notes.join("\n"), /that wait to be accepted \(1\) are left out/);
  const goes = {
    name: "goes",
    description: "goes on before the tree is stopped",
    before: ["unix"],
    checkpoint: () => ({ quiesce: () => Deno.kill(subject.pid, "SIGCONT") }),
  };
  await checkpoint(subject.pid, { directory: images.directory, plugins: [goes] });
  await isServed(waits);
  await subject.waitGone();
  const tree = await restore(images.directory);
  await isServed(await Deno.connect({ transport: "unix", path }));
  tree.kill(15);
  await tree.wait();
});

Deno.test("a socket of another family is refused, and its protocol named", async () => {
  // Multipath TCP, or one of virtual machines, or of cryptography: kernels have at least one of them.
  const program = `$^F = 9; socket(my $socket, 2, 1, 262) or socket($socket, 40, 1, 0) or
    socket($socket, 38, 5, 0) or die; exec "sleep", 1000`;
  await using subject = await startSleeper(`exec perl -e '${program}'`);
  const problems = await problemsOf(subject.pid);
  assert.equal(problems.length, 1);
  assert.match(
    problems[0]?.what ?? "",
    /^no plugin saves its descriptor \d+ \(socket:\[\d+\], [\w-]+\)$/,
  );
});

Deno.test("an empty message that a checkpoint has looked at is not lost by the next one", async () => {
  await using subject = await startRefused("empty");
  using images = new ImageHome();
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const lengths = openImages(images.directory).readList(SK_QUEUES, null).map(({ length }) =>
    length
  );
  assert.deepEqual(lengths.sort(), [0, 100, 5, 6]);
  const problems = await problemsOf(subject.pid);
  assert.match(problems[0]?.what ?? "", /an empty message/);
  assert.equal(problems.length, 1);
  await subject.expectPass();
});

Deno.test("a socket whose other end is outside is refused, or given anew if the user names it", async () => {
  const directory = await Deno.makeTempDir({ prefix: "stasis-unix-" });
  const path = `${directory}/socket`;
  try {
    using listener = Deno.listen({ transport: "unix", path });
    const accepting = listener.accept();
    await using subject = await startRefused("outside", path);
    using _connection = await accepting;
    const problems = await problemsOf(subject.pid);
    assert.equal(problems.length, 1);
    const [{ what, hint }] = problems as [typeof problems[0]];
    assert.match(
      what,
      new RegExp(
        `whose other end \\(${path}\\) is outside of the tree: task ${Deno.pid} .* has it`,
      ),
    );
    const socket = /socket:\[\d+\]/.exec(what)?.[0] ?? "";
    assert.match(hint ?? "", /--external/);

    using images = new ImageHome();
    await checkpoint(subject.pid, {
      directory: images.directory,
      options: { external: [socket] },
    });
    await assert.rejects(
      restore(images.directory),
      (error: StasisError) => error.problems.some(({ what }) => what.includes(socket)),
    );
    // A new connection of this process stands in for it.
    const before = sockets();
    using _mine = await Deno.connect({ transport: "unix", path });
    const [fd] = [...sockets().difference(before)];
    if (fd === undefined) throw new Error("the connection has no descriptor");
    using accepted = await listener.accept();
    const tree = await restore(images.directory, { options: { inheritFds: { [socket]: fd } } });
    await accepted.write(new TextEncoder().encode("hello"));
    await subject.expectPass();
    await tree.wait();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Servers of datagrams and of connections, who tell what they get and from whom. */
const SERVERS = `
import os, select, socket, struct
def bound(kind, name):
    one = socket.socket(socket.AF_UNIX, kind)
    one.bind(name)
    return one
dgram = bound(socket.SOCK_DGRAM, os.getcwd() + "/datagrams")
listener = bound(socket.SOCK_STREAM, "\\0" + os.getcwd())
listener.listen()
print("ready", flush=True)
readers = [dgram, listener]
while True:
    for one in select.select(readers, [], [])[0]:
        if one is listener:
            readers.append(one.accept()[0])
            continue
        data = one.recv(99).decode()
        if one is dgram:
            print("datagram", data, flush=True)
        elif data:
            uid = struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
            print("connection", data, uid, flush=True)
        else:
            readers.remove(one)
`;

/** A client of theirs, which is another user, and sends once more when it is asked. */
const CLIENT = `
import os, signal, socket, sys
def connected(kind, name):
    one = socket.socket(socket.AF_UNIX, kind)
    one.connect(name)
    return one
both = [connected(socket.SOCK_DGRAM, sys.argv[1] + "/datagrams")]
os.setuid(1234)
both.append(connected(socket.SOCK_STREAM, "\\0" + sys.argv[1]))
def send(*_):
    for one in both: one.send(b"again")
    os._exit(0)
signal.signal(signal.SIGTERM, send)
for one in both: one.send(b"first")
print("ready", flush=True)
while True: signal.pause()
`;

Deno.test("--ext-unix-sk: sockets are connected to the names of others outside again", async () => {
  await using server = await Subject.spawn("python3", { args: ["-c", SERVERS] });
  await server.waitReady();
  const { cwd } = server;
  await using client = await Subject.spawn("python3", { args: ["-c", CLIENT, cwd] });
  await client.waitReady();
  const told = (text: string) =>
    waitUntil(
      () => ["datagram", "connection"].every((what) => server.output().includes(`${what} ${text}`)),
      () => `the servers to get it: ${server.output()}`,
    );
  await told("first");
  const problems = await problemsOf(client.pid);
  assert.equal(problems.length, 2);
  for (const { hint } of problems) assert.match(hint ?? "", /--ext-unix-sk/);
  using images = new ImageHome();
  const options = { externalUnixSockets: true };
  // A name that leads nowhere is not connected to again.
  await Deno.rename(`${cwd}/datagrams`, `${cwd}/moved`);
  await assert.rejects(
    checkpoint(client.pid, { directory: images.directory, options }),
    (error: StasisError) => /by its name any more/.test(error.problems[0]?.what ?? ""),
  );
  await Deno.rename(`${cwd}/moved`, `${cwd}/datagrams`);
  await checkpoint(client.pid, { directory: images.directory, options });
  const tree = await restore(images.directory);
  tree.kill(15);
  await tree.wait();
  await told("again");
  assert.match(server.output(), /^connection again 1234$/m);

  // With nobody there any more nothing is restored.
  await server.kill();
  await assert.rejects(restore(images.directory), (error: StasisError) => {
    assert.equal(error.problems.length, 2, JSON.stringify(error.problems));
    return error.problems.every(({ what }) => /nobody has the name .*\/cwd/.test(what));
  });
});

Deno.test("a restore without one end of a pair, which the user gives anew, is refused for the other", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("unix_pairs", { args: ["stream"] });
  await checkpoint(subject.pid, images);
  const { usk } =
    openImages(images.directory).readList(FILES, null).find(({ usk }) =>
      usk !== undefined && usk.peer !== 0
    ) ?? {};
  // Its peer cannot come back without it.
  const inheritFds = { [`socket:[${usk?.ino}]`]: 0 };
  await assert.rejects(
    restore(images.directory, { options: { inheritFds } }),
    (error: StasisError) => /its peer is not in the images/.test(error.problems[0]?.what ?? ""),
  );
});

Deno.test("a restore finds out whose names are taken, and does nothing then", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("unix_service", { args: ["stream"] });
  await checkpoint(subject.pid, images);
  const path = `${subject.cwd}/absolute`;
  const refused = async (reason: RegExp) => {
    await assert.rejects(restore(images.directory), (error: StasisError) => {
      assert.equal(error.code, "conflict");
      assert.equal(error.problems.length, 1, JSON.stringify(error.problems));
      assert.match(error.problems[0]?.what ?? "", reason);
      return true;
    });
  };
  await Deno.remove(path);
  {
    using _other = Deno.listen({ transport: "unix", path });
    await refused(/\/absolute of socket:.* is taken by another socket/);
  }
  await Deno.remove(path).catch(() => {});
  await Deno.writeTextFile(path, "mine");
  await refused(/\/absolute, the name of socket:.*, is another file now/);
  assert.equal(await Deno.readTextFile(path), "mine");
  await Deno.remove(path);
  {
    const bind = `use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0);
      bind(S, pack_sockaddr_un("\\0service-${subject.pid}")) or die; $| = 1; print "x"; <STDIN>`;
    const child = new Deno.Command("perl", { args: ["-e", bind], stdin: "piped", stdout: "piped" })
      .spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await refused(/the name @service-\d+ of socket:.* is taken/);
    await child.stdin.close();
    await reader.cancel();
    await child.status;
  }
  // The file that is missing by now is made anew.
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
});

/** The descriptors of this process that are sockets. */
function sockets(): Set<number> {
  const found = new Set<number>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:")) found.add(Number(name));
    } catch {
      // The one by which the directory itself was read.
    }
  }
  return found;
}
