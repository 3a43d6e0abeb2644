import { deepEqual, equal, match } from "@std/assert";
import { checkpoint, type OperationOptions, restore, StasisError } from "../../mod.ts";
import { Subject } from "../harness/subject.ts";
import { collectNotes, ImageHome, problemsOf } from "./round_trip.ts";

/**
 * Has what it does not care for from a parent that lives on: the reading end of a pipe with something in it, the
 * writing end of another, and an end of a pair of sockets. Tells what it sees of them when it is asked.
 */
const PROGRAM = `
import os, signal, socket, time
r, far_w = os.pipe()
far_r, w = os.pipe()
near, far = socket.socketpair()
os.write(far_w, b"left")
far.send(b"said")
if os.fork():
    os.close(r); os.close(w); near.close()
    time.sleep(1000)
os.close(far_w); os.close(far_r); far.close()
os.setsid()
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
def attempt(call):
    try:
        return call()
    except OSError as error:
        return type(error).__name__
def tell(*_):
    seen = [attempt(lambda: os.read(r, 9)), attempt(lambda: os.read(r, 9)), attempt(lambda: os.write(w, b"x")),
            attempt(lambda: near.recv(9)), attempt(lambda: near.recv(9)), attempt(lambda: near.send(b"x"))]
    print("seen", seen, flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, tell)
print("pid=%d" % os.getpid(), flush=True)
print("ready", flush=True)
while True: time.sleep(1)
`;

const SEEN = "seen [b'left', b'', 'BrokenPipeError', b'said', b'', 'BrokenPipeError']";

async function start(): Promise<{ subject: Subject; pid: number; names: string[] }> {
  const subject = await Subject.spawn("python3", { args: ["-c", PROGRAM] });
  await subject.waitReady();
  const pid = Number(subject.fact("pid"));
  const names = [...Deno.readDirSync(`/proc/${pid}/fd`)].flatMap(({ name }) => {
    const text = Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
    return /^(pipe|socket):/.test(text) ? [text] : [];
  });
  return { subject, pid, names };
}

Deno.test("what others outside have, too, is refused with what to type, and who has it", async () => {
  const { subject, pid, names } = await start();
  await using _ = subject;
  const problems = await problemsOf(pid);
  equal(names.length, 3);
  equal(problems.length, 3);
  for (const name of names) {
    const { what, hint } = problems.find((one) => one.what.includes(name)) ?? problems[0]!;
    match(what, new RegExp(`task ${subject.pid} \\(python3\\) has it`));
    equal(hint?.includes(`--dead-end '${name}', or --dead-ends for all`), true);
    equal(hint?.includes(`--inherit-fd 'fd[N]:${name}'`), true);
  }
});

for (const all of [true, false]) {
  Deno.test(`dead ends, ${all ? "all" : "named"}: readers see the end, writers get EPIPE`, async () => {
    const { subject, pid, names } = await start();
    await using _ = subject;
    using images = new ImageHome();
    const options: OperationOptions = all ? { allDeadEnds: true } : { deadEnds: names };
    const notes: string[] = [];
    await checkpoint(pid, {
      directory: images.directory,
      options,
      onEvent: collectNotes(notes),
    });
    deepEqual(
      notes.flatMap((note) => /^(\S+) is cut off/.exec(note)?.[1] ?? []).sort(),
      names.sort(),
    );
    // Its former parent has not reaped it, so it gets its id in a namespace of its own.
    const tree = await restore(images.directory, { options: { newPidNamespace: true } });
    tree.kill(15);
    await tree.wait();
    equal(subject.output().trimEnd().split("\n").at(-1), SEEN);
  });
}

/** Has a pipe in flight, whose other end its parent has. */
const IN_FLIGHT = `
import os, signal, socket, time
r, w = os.pipe()
if os.fork():
    os.close(r)
    time.sleep(1000)
os.close(w)
os.setsid()
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [r])
print("pipe=%s" % os.readlink("/proc/self/fd/%d" % r), flush=True)
os.close(r)
print("pid=%d" % os.getpid(), flush=True)
print("ready", flush=True)
signal.pause()
`;

Deno.test("what lies in flight can be named as a dead end, and a slip is still told", async () => {
  await using subject = await Subject.spawn("python3", { args: ["-c", IN_FLIGHT] });
  await subject.waitReady();
  const pid = Number(subject.fact("pid"));
  const name = subject.fact("pipe") as string;
  const saved = async (deadEnds: string[]): Promise<string[]> => {
    using images = new ImageHome();
    const { directory } = images;
    try {
      await checkpoint(pid, { directory, leaveRunning: true, options: { deadEnds } });
    } catch (error) {
      if (error instanceof StasisError) return error.problems.map(({ what }) => what);
      throw error;
    }
    return [];
  };
  deepEqual(await saved([name]), []);
  const [held, slip] = (await saved(["pipe:[1]"])).sort().reverse();
  match(held ?? "", /outside of the tree/);
  equal(slip, "--dead-end pipe:[1] names nothing that the tree has");
});
