import { deepEqual, equal, match, rejects } from "@std/assert";
import { checkpoint, restore, type StasisError } from "../../mod.ts";
import { mayPush } from "../../plugins/tty/contents.ts";
import { isAlive, processTree, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { Tmux } from "../harness/tmux.ts";
import {
  bringsBack,
  collectNotes,
  ImageHome,
  leavesAlone,
  problemsOf,
  save,
  startSleeper,
} from "./round_trip.ts";

/** One that is hung up, whose number is anybody's: the program itself looks at what it is. */
const HUNG_UP = [/\/fd\/16$/];

/**
 * Pseudoterminals, more than strangers open on this machine in a moment. Who opens one gets the lowest number that is
 * free: when these are closed, none of the numbers above, which a tree has given up until it is restored.
 */
function holdNumbers(): DisposableStack {
  const stack = new DisposableStack();
  for (let count = 0; count < 16; count++) {
    stack.use(Deno.openSync("/dev/ptmx", { read: true, write: true }));
  }
  return stack;
}

for (const name of ["ptys", "pty_full", "pty_sessions"]) {
  Deno.test(`${name}: it is what it was after a restore`, async (t) => {
    using below = holdNumbers();
    await bringsBack(t, name, { onStart: () => below.dispose(), ignore: HUNG_UP });
  });
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) => leavesAlone(t, name));
}

Deno.test("pty_sessions: sessions and groups are the same in a pid namespace of the tree's own", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("pty_sessions");
  await save(subject, images);
  const tree = await restore(images.directory, { options: { newPidNamespace: true } });
  tree.kill(15);
  await tree.wait();
  match(subject.output(), /^verdict PASS$/m);
});

/** The pseudoterminals of this machine. */
const ptys = (): string[] =>
  [...Deno.readDirSync("/dev/pts")].map(({ name }) => name).filter((name) => /^\d/.test(name));

/** Those that a process has the masters of. */
const mastersOf = (pid: number): string[] =>
  [...Deno.readDirSync(`/proc/${pid}/fdinfo`)].flatMap(({ name }) =>
    /^tty-index:\t(\d+)$/m.exec(readIf(`/proc/${pid}/fdinfo/${name}`))?.[1] ?? []
  );

Deno.test("a pseudoterminal whose number is taken gets another, and that is told", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("ptys");
  const wanted = mastersOf(subject.pid);
  const notes: string[] = [];
  await checkpoint(subject.pid, { directory: images.directory, onEvent: collectNotes(notes) });
  equal(notes.filter((note) => /nobody has opened \/dev\/pts\/\d+ yet/.test(note)).length, 1);
  await subject.waitGone();
  using stack = new DisposableStack();
  while (!wanted.every((index) => ptys().includes(index))) {
    stack.use(Deno.openSync("/dev/ptmx", { read: true, write: true }));
  }
  const told: string[] = [];
  const tree = await restore(images.directory, { onEvent: collectNotes(told) });
  const moved = told.filter((note) => /^\/dev\/pts\/\d+ is taken here: the terminal is/.test(note));
  equal(moved.length, wanted.length);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("a pseudoterminal of which somebody outside has an end open is refused, and named", async () => {
  await using subject = await Subject.spawn("script", {
    args: ["-qec", "exec sleep 1000 </dev/null >/dev/null 2>&1", "/dev/null"],
  });
  const slave = (): string | undefined => {
    const child = processTree(subject.pid)[1];
    const nr = child === undefined
      ? 0
      : Number(Deno.readTextFileSync(`/proc/${child}/stat`).split(") ")[1]?.split(" ")[4]);
    return nr === 0 ? undefined : `/dev/pts/${(nr & 0xff) | ((nr >>> 12) & 0xfff00)}`;
  };
  await waitUntil(() => slave() !== undefined, () => "script to start its command");
  {
    using _held = Deno.openSync(slave() as string, { read: true });
    const problems = await problemsOf(subject.pid);
    deepEqual(problems.map(({ plugin }) => plugin), ["tty"]);
    match(
      problems[0]?.what ?? "",
      new RegExp(
        `master of a pseudoterminal whose slave, ${slave()}, task ${Deno.pid} .* has open`,
      ),
    );
  }
});

const REFUSED = [
  ["many lines", "os.write(m, b'a line\\n' * 20)", /has more than 100 characters waiting in it/],
  ["much input", "tty.setraw(s); os.write(m, bytes(4100))", /has 4,095 typed bytes or more/],
  ["lock", "ioctl(m, 0x40045431, pack('i', 1))", /has been opened, and is locked/],
  ["stopped master", "termios.tcflow(m, termios.TCOOFF)", /takes nothing from its master/],
  // TIOCPKT, and an event: TIOCPKT_FLUSHREAD.
  [
    "packet mode",
    "ioctl(m, 0x5420, pack('i', 1)); tcflush(s, 0)",
    /is in packet mode, and an event of it waits/,
  ],
  // TIOCSETD: N_NULL.
  ["line discipline", "ioctl(s, 0x5423, pack('i', 27))", /is no terminal but another kind of line/],
] as const;

for (const [what, calls, why] of REFUSED) {
  Deno.test(`a pseudoterminal is refused for its ${what}`, async () => {
    using images = new ImageHome();
    const imports =
      "import termios, tty\nfrom fcntl import ioctl\nfrom struct import pack\nfrom termios import tcflush";
    const program = `import os, time\n${imports}\nm, s = os.openpty()\n${calls}\n` +
      "time.sleep(0.05)\nprint('ready', flush=True)\ntime.sleep(1000)";
    await using subject = await Subject.spawn("python3", { args: ["-c", program] });
    await subject.waitReady();
    await rejects(() => checkpoint(subject.pid, images), (error: unknown) => {
      equal((error as StasisError).code, "unsupported");
      match((error as StasisError).message, why);
      return true;
    });
  });
}

Deno.test("whether TIOCSTI is allowed is tried: what capabilities say is true of a user namespace", async (t) => {
  const module = new URL("../../plugins/tty/contents.ts", import.meta.url);
  const args = ["-Ur", Deno.execPath(), "run", "-A", "--no-check"];
  const source = `import { mayPush } from "${module}"; console.log(mayPush());`;
  const script = await Deno.makeTempFile({ prefix: "stasis-push-", suffix: ".ts" });
  await Deno.writeTextFile(script, source);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const { code, stdout } = await new Deno.Command("unshare", {
    args: [...args, "--config", config, script],
    stderr: "null",
  }).output();
  await Deno.remove(script);
  if (code !== 0) return skip(t, "user namespaces cannot be made here");
  equal(new TextDecoder().decode(stdout), "false\n");
  equal(mayPush(), Deno.uid() === 0);
});

Deno.test("a console that is no standard stream is opened by its path", async (t) => {
  try {
    Deno.openSync("/dev/console", { write: true }).close();
  } catch {
    return skip(t, "no console can be opened here");
  }
  using images = new ImageHome();
  await using subject = await startSleeper("exec 5>/dev/console");
  await save(subject, images);
  const tree = await restore(images.directory);
  equal(Deno.readLinkSync(`/proc/${subject.pid}/fd/5`), "/dev/console");
  tree.kill(9);
  await tree.wait();
});

Deno.test("a virtual console controls the session that it did", async (t) => {
  using images = new ImageHome();
  await using subject = await startSleeper("exec 5<>/dev/tty9 || true");
  const terminal = () =>
    / (\d+) (-?\d+) /.exec(readIf(`/proc/${subject.pid}/stat`).replace(/^.*\) \S \d+ \d+ \d+/, ""));
  const before = terminal()?.[0];
  if (before === undefined || before.startsWith(" 0 ")) {
    return skip(t, "no such console is free here");
  }
  await save(subject, images);
  const tree = await restore(images.directory);
  equal(terminal()?.[0], before);
  tree.kill(9);
  await tree.wait();
});

/** Saves a tmux with all that runs in it, and brings it back. */
async function takeAway(tmux: Tmux): Promise<void> {
  using images = new ImageHome();
  const pid = await tmux.pid();
  await checkpoint(pid, { directory: images.directory, leaveRunning: true });
  await tmux.run("refresh-client").catch(() => {});
  await Deno.remove(images.directory, { recursive: true });
  await checkpoint(pid, { directory: images.directory });
  await waitUntil(() => !isAlive(pid), () => "the server to be gone");
  await restore(images.directory);
}

Deno.test("tmux: less goes on, and the shell behind it", async () => {
  await using tmux = await Tmux.start();
  await tmux.press("seq 1000 | less", "Enter");
  await tmux.shows(/^1\n2\n[^]*29\n:$/);
  await takeAway(tmux);
  await tmux.press("G");
  await tmux.shows(/1000\n\(END\)$/);
  await tmux.press("q");
  await tmux.press("echo $((6 * 7))", "Enter");
  await tmux.shows(/^42$/m);
});

Deno.test("tmux: an editor has what was typed, and the window's size", async () => {
  await using tmux = await Tmux.start();
  const file = await Deno.makeTempFile({ prefix: "stasis-vim-" });
  using cleanUp = new DisposableStack();
  cleanUp.defer(() => Deno.removeSync(file));
  await tmux.press(`vim -n -u NONE ${file}`, "Enter");
  await tmux.shows(/^~$/m);
  await tmux.press("ifirst", "Enter", "second");
  await tmux.shows(/^second/m);
  await takeAway(tmux);
  await tmux.press(" line", "Escape");
  await tmux.resize(60, 20);
  await tmux.press(":put =&columns", "Enter");
  await tmux.shows(/^60$/m);
  await tmux.press(":wq", "Enter");
  await tmux.shows(/[$#]$/);
  equal(await Deno.readTextFile(file), "first\nsecond line\n60\n");
});

Deno.test("tmux: a shell's jobs, in the foreground and stopped", async () => {
  await using tmux = await Tmux.start();
  await tmux.press("sleep 1000", "Enter");
  const pid = await tmux.pid();
  // What is typed before it is in the foreground stops nobody, and is lost.
  await waitUntil(() => isJob(pid, "sleep"), () => "the job to be in the foreground");
  await tmux.press("C-z");
  await tmux.shows(/Stopped/);
  await tmux.press("clear; cat", "Enter");
  await waitUntil(() => isJob(pid, "cat"), () => "the next job to be in the foreground");
  await tmux.press("half a li");
  await tmux.shows(/^half a li$/m);
  await takeAway(tmux);
  await tmux.press("ne", "Enter");
  await tmux.shows(/^half a line\nhalf a line$/m);
  // A shell whose job a signal has ended throws away what is typed before it asks anew.
  await tmux.press("C-c");
  await tmux.shows(/\^C\n\S+[#$]\s*$/);
  await tmux.press("fg", "Enter");
  await tmux.shows(/fg\nsleep 1000/);
  await tmux.press("C-c");
  await tmux.shows(/\^C\n\S+[#$]\s*$/);
  await tmux.press("jobs; echo $((6 * 7))", "Enter");
  await tmux.shows(/7\)\)\n42$/m);
});

Deno.test("script: the shell in it goes on, and what it says is written down", async () => {
  using images = new ImageHome();
  const home = await Deno.makeTempDir({ prefix: "stasis-script-" });
  await new Deno.Command("mkfifo", { args: [`${home}/in`] }).output();
  const command = `exec script -qfec "exec bash --norc --noprofile -i" ${home}/log <>${home}/in`;
  await using subject = await Subject.spawn("bash", { args: ["-c", command], cwd: home });
  const type = (text: string) => Deno.writeTextFileSync(`${home}/in`, text);
  const log = () => Deno.readTextFileSync(`${home}/log`);
  await waitUntil(
    () => isAlive(subject.pid) && /[$#] $/.test(readIf(`${home}/log`)),
    () => "a prompt",
  );
  type("x=$((6 * 7))\n");
  await waitUntil(() => /7\)\)[^]*[$#] $/.test(log()), () => `a prompt again:\n${log()}`);
  await checkpoint(subject.pid, { directory: `${images.directory}-1`, leaveRunning: true });
  type("echo $((x + 1))\n");
  await waitUntil(() => /^43\r\n[^]*[$#] $/m.test(log()), () => `an answer:\n${log()}`);
  await save(subject, images);
  const tree = await restore(images.directory);
  type("echo $x\nsleep 1000\n");
  await waitUntil(() => /^42\r$/m.test(log()), () => `an answer:\n${log()}`);
  await waitUntil(
    () => processTree(subject.pid).some((pid) => readIf(`/proc/${pid}/comm`) === "sleep\n"),
    () => `a job:\n${log()}`,
  );
  type("\x03");
  await waitUntil(() => /\^C[^]*[$#] $/.test(log()), () => `a prompt at last:\n${log()}`);
  type("exit 7\n");
  deepEqual(await tree.wait(), { code: 7 });
  await Deno.remove(home, { recursive: true });
});

/** Whether a program of a tree is in the foreground of its terminal, and waits. */
function isJob(root: number, comm: string): boolean {
  return processTree(root).some((pid) => {
    const [, name, state, group, foreground] =
      /\((.*)\) (\S) \d+ (\d+) \d+ \d+ (-?\d+) /.exec(readIf(`/proc/${pid}/stat`)) ?? [];
    return name === comm && state === "S" && group === foreground;
  });
}

function readIf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
