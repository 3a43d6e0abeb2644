import { deepEqual, equal, match, rejects } from "@std/assert";
import {
  checkpoint,
  type Problem,
  restore,
  type RestoredTree,
  type StasisError,
} from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { CLOSE_INHERITED } from "../harness/close_inherited.ts";
import { Subject } from "../harness/subject.ts";
import { allPids, readProcess, waitUntil } from "../harness/processes.ts";
import { becomesSleep, collectNotes, ImageHome, problemsOf } from "./round_trip.ts";

const link = (pid: number | "self", fd: number): string =>
  Deno.readLinkSync(`/proc/${pid}/fd/${fd}`);

/** Opens a fifo here in both directions. */
async function openFifo(path: string): Promise<{ file: Deno.FsFile; fd: number }> {
  await new Deno.Command("mkfifo", { args: [path] }).output();
  const file = await Deno.open(path, { read: true, write: true });
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (link("self", Number(name)) === path) return { file, fd: Number(name) };
    } catch {
      // The listing's own descriptor.
    }
  }
  throw new Error(`${path} is not open`);
}

async function end(tree: RestoredTree): Promise<void> {
  tree.kill(9);
  await tree.wait();
}

const LOOP = 'while read -r line; do echo "got $line" >&2; done';

/** A shell in a session of its own whose standard streams are pipes to this process. */
function startShell(script: string): Deno.ChildProcess {
  const child = new Deno.Command("/bin/bash", {
    args: ["-c", `${CLOSE_INHERITED}; ${script}`],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
  child.status.catch(() => {});
  return child;
}

async function readText(file: Deno.FsFile): Promise<string> {
  const bytes = new Uint8Array(100);
  return new TextDecoder().decode(bytes.subarray(0, await file.read(bytes) ?? 0));
}

Deno.test("standard streams that are pipes to others are given anew at restore", async () => {
  using images = new ImageHome();
  const home = await Deno.makeTempDir({ prefix: "stasis-external-" });
  const { pid, stdin, stderr } = startShell(LOOP);
  const writer = stdin.getWriter();
  const reader = stderr.getReader();
  await writer.write(new TextEncoder().encode("one\n"));
  equal(new TextDecoder().decode((await reader.read()).value), "got one\n");
  const notes: string[] = [];
  const names = [link(pid, 0), link(pid, 2)];
  await checkpoint(pid, {
    directory: images.directory,
    onEvent: collectNotes(notes),
  });
  for (const name of names) equal(notes.filter((note) => note.includes(name)).length, 1, name);
  await writer.close().catch(() => {});
  await reader.cancel();

  const input = await openFifo(`${home}/in`);
  const output = await openFifo(`${home}/out`);
  const inheritFds = { [names[0] as string]: input.fd, "fd[2]": output.fd };
  const tree = await restore(images.directory, { options: { inheritFds } });
  equal(tree.pid, pid);
  await input.file.write(new TextEncoder().encode("two\n"));
  equal(await readText(output.file), "got two\n");
  await end(tree);
  input.file.close();
  output.file.close();
  await Deno.remove(home, { recursive: true });
});

Deno.test("standard streams that are fifos to others are given anew at restore, as pipes are", async () => {
  using images = new ImageHome();
  const home = await Deno.makeTempDir({ prefix: "stasis-external-" });
  const [held, other] = [await openFifo(`${home}/held`), await openFifo(`${home}/other`)];
  const script = `exec 0</dev/null 1>${home}/held 2>/dev/null 7>&1; echo one; exec sleep 1000`;
  const { pid, stdin, stderr } = startShell(script);
  await becomesSleep(pid);
  const notes: string[] = [];
  await checkpoint(pid, { directory: images.directory, onEvent: collectNotes(notes) });
  const text = `${home}/held is held outside of the tree: the restore provides it`;
  deepEqual(notes.filter((note) => note.includes(home)), [text]);
  await stdin.close().catch(() => {});
  await stderr.cancel();
  // What was written for its reader is that one's, once.
  equal(await readText(held.file), "one\n");
  const inheritFds = { [`${home}/held`]: other.fd };
  const tree = await restore(images.directory, { options: { inheritFds } });
  deepEqual([link(pid, 1), link(pid, 7)], [`${home}/other`, `${home}/other`]);
  await end(tree);
  held.file.close();
  other.file.close();
  await Deno.remove(home, { recursive: true });
});

Deno.test("a pipe or master that others have whose first thread has ended is known to be held by them", async () => {
  const source = new URL("programs/leaderless_holder.c", import.meta.url).pathname;
  await using holder = await Subject.run(await buildProgram(source));
  const problems = await problemsOf(Number(holder.fact("child")));
  const what = problems.map((problem) => problem.what).join("\n");
  match(
    what,
    new RegExp(
      `pipe:\\[\\d+\\]\\) is no standard stream, and is held outside of the tree: task ${holder.pid} .*has it, too`,
    ),
  );
  match(what, new RegExp(`master of a pseudoterminal, .* and task ${holder.pid} .*has it too`));
  await holder.expectPass();
});

Deno.test("a pipe to others that is no standard stream is refused until it is named", async () => {
  using images = new ImageHome();
  const { pid, stdin, stderr } = startShell(
    "exec 5>&2 0</dev/null 1>/dev/null 2>/dev/null; exec sleep 1000",
  );
  await becomesSleep(pid);
  const problems = await problemsOf(pid);
  deepEqual(problems.map(({ plugin }) => plugin), ["external"]);
  match(
    problems[0]?.what ?? "",
    /descriptor 5 \(pipe:\[\d+\]\) is no standard stream, and is held outside of the tree/,
  );
  const slips = { external: [link(pid, 5), "pipe:[1]", "shm[-1]"], deadEnds: ["fd[77]"] };
  await rejects(
    () => checkpoint(pid, { directory: images.directory, options: slips }),
    (error: unknown) => {
      deepEqual((error as StasisError).problems.map(({ what }) => what), [
        "--external pipe:[1] names nothing that the tree has",
        "--external shm[-1] names nothing that the tree has",
        "--dead-end fd[77] names nothing that the tree has",
      ]);
      return true;
    },
  );
  await checkpoint(pid, { directory: images.directory, options: { external: [link(pid, 5)] } });
  await stdin.close().catch(() => {});
  await stderr.cancel();

  await rejects(() => restore(images.directory), (error: unknown) => {
    match((error as StasisError).problems[0]?.what ?? "", /nothing stands in for pipe:\[\d+\]/);
    return true;
  });
  const slip = { inheritFds: { "fd[5]": 2, "fd[6]": 2 } };
  await rejects(() => restore(images.directory, { options: slip }), (error: unknown) => {
    const [{ what, hint }, ...others] = (error as StasisError).problems as [Problem];
    match(what, /^--inherit-fd names fd\[6\], for which the images want nothing/);
    match(hint ?? "", /^what is wanted: pipe:\[\d+\]$/);
    deepEqual(others, []);
    return true;
  });
  using file = await Deno.open("/dev/null", { write: true });
  const number = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name))
    .find((fd) => fd > 2 && tryLink(fd) === "/dev/null");
  const options = { inheritFds: { "fd[5]": number as number } };
  const tree = await restore(images.directory, { options });
  equal(link(pid, 5), "/dev/null");
  await file.write(new Uint8Array(1));
  await end(tree);
});

function tryLink(fd: number): string | undefined {
  try {
    return link("self", fd);
  } catch {
    return undefined;
  }
}

/** Runs a command on a terminal of its own, and finds the `sleep` that it starts. */
async function onTerminal(command: string): Promise<{ outer: Deno.ChildProcess; pid: number }> {
  const outer = new Deno.Command("script", {
    args: ["-qec", `exec bash -c '${CLOSE_INHERITED}; ${command}'`, "/dev/null"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let pid = 0;
  await waitUntil(
    () => {
      const mine = allPids().filter((one) => isBelow(one, outer.pid));
      pid = mine.find((one) => readProcess(one)?.comm === "sleep") ?? 0;
      return pid !== 0;
    },
    () => "the command on the terminal",
  );
  return { outer, pid };
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let one = readProcess(pid); one !== null && one.ppid > 1; one = readProcess(one.ppid)) {
    if (one.ppid === ancestor) return true;
  }
  return false;
}

Deno.test("a terminal of somebody else is given anew at restore", async () => {
  using images = new ImageHome();
  const { outer, pid } = await onTerminal("setsid --wait sleep 1000");
  match(link(pid, 0), /^\/dev\/pts\//);
  await checkpoint(pid, images);
  outer.kill("SIGKILL");
  await outer.status;
  using _null = await Deno.open("/dev/null", { read: true, write: true });
  const number = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name))
    .find((fd) => fd > 2 && tryLink(fd) === "/dev/null") as number;
  const inheritFds = { "fd[0]": number };
  const tree = await restore(images.directory, { options: { inheritFds } });
  for (const fd of [0, 1, 2]) equal(link(pid, fd), "/dev/null");
  await end(tree);
});

Deno.test("a terminal that controls a session of the tree, and whose master is outside, is refused", async () => {
  const { outer, pid } = await onTerminal("exec sleep 1000");
  const problems = await problemsOf(pid);
  equal(problems.length, 1);
  match(
    problems[0]?.what ?? "",
    /\/dev\/pts\/\d+ is the controlling terminal of its session, whose master task \d+ \(script\) has/,
  );
  Deno.kill(pid, "SIGKILL");
  await outer.status;
});

/** Serves by a listening socket that its parent, which lives on, has too: tells what it gets of each connection. */
const SERVER = `
import os, signal, socket, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print("socket=" + os.readlink("/proc/self/fd/%d" % listener.fileno()), flush=True)
if os.fork():
    time.sleep(1000)
os.setsid()
print("port=%d" % listener.getsockname()[1], flush=True)
print("pid=%d\\nready" % os.getpid(), flush=True)
while True:
    try:
        one, _ = listener.accept()
    except BlockingIOError:
        # The socket that is given does not wait (Deno's).
        time.sleep(0.01)
        continue
    print("got", one.recv(9).decode(), flush=True)
    one.close()
`;

Deno.test("a listening socket of others is refused with what to type, and one that somebody gives serves in its place", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("python3", { args: ["-c", SERVER] });
  await subject.waitReady();
  const pid = Number(subject.fact("pid")), name = subject.fact("socket");
  const asks = async (port: number, text: string): Promise<void> => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode(text));
    await waitUntil(() => subject.output().includes(`got ${text}`), () => subject.output());
  };
  await asks(Number(subject.fact("port")), "one");
  const [problem, ...others] = await problemsOf(pid);
  deepEqual(others, []);
  match(problem?.what ?? "", new RegExp(`task ${subject.pid} \\(python3\\)`));
  equal(problem?.hint?.includes(`--external '${name}'`), true, problem?.hint);
  await checkpoint(pid, { directory: images.directory, options: { external: [name] } });

  const isSocket = (fd: number) => tryLink(fd)?.startsWith("socket:") === true;
  const fds = () => [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
  const before = fds().filter(isSocket);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const mine = fds().find((fd) => isSocket(fd) && !before.includes(fd)) as number;
  const tree = await restore(images.directory, { options: { inheritFds: { [name]: mine } } });
  await asks(listener.addr.port, "two");
  await end(tree);
});
