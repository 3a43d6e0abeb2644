import { deepEqual, equal, match } from "@std/assert";
import { checkpoint } from "../../mod.ts";
import { isAlive, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { ShellSession } from "../harness/shell_session.ts";
import { ImageHome } from "./round_trip.ts";

/**
 * Starts a program in a shell, saves it when it shows something, while it runs on and then so that it ends, and has the
 * shell ask again.
 *
 * @param goesOn shows that it has run on
 */
async function saved(
  shell: ShellSession,
  images: ImageHome,
  [command, comm]: readonly [command: string, comm: string],
  shows: RegExp,
  goesOn?: () => Promise<unknown>,
): Promise<number> {
  await shell.type(`${command}\n`);
  await shell.shows(shows);
  await waitUntil(() => shell.find(comm) !== undefined, () => `${comm} to run`);
  const pid = shell.find(comm) as number;
  const running = `${images.directory}-1`;
  await checkpoint(pid, { directory: running, leaveRunning: true });
  await goesOn?.();
  await checkpoint(pid, { directory: images.directory });
  await shell.prompt();
  await waitUntil(() => !isAlive(pid), () => `${command} to be gone`);
  return pid;
}

/** Restores it from the shell, and waits until it runs. */
async function restore(shell: ShellSession, images: ImageHome, pid: number): Promise<void> {
  await shell.type(`stasis restore --shell-job ${images.directory}\n`);
  await waitUntil(
    () =>
      isAlive(pid) && /^[^(]*\(.*\) [RS]/.test(readIf(`/proc/${pid}/stat`)) && traced(pid) === 0,
    () => `task ${pid} to be back:\n${shell.shown}`,
  );
}

const traced = (pid: number): number =>
  Number(/^TracerPid:\t(\d+)$/m.exec(readIf(`/proc/${pid}/status`))?.[1] ?? 0);

function readIf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

Deno.test("shell job: Ctrl-C, Ctrl-Z, fg, bg, and the terminal is given back", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const before = await shell.run("stty -a");
  const pid = await saved(shell, images, ["cat", "cat"], /cat\r\n$/);
  await restore(shell, images, pid);
  await shell.type("one\n");
  await shell.shows(/one\r\none\r\n/);
  await shell.type("\x1a");
  await shell.shows(/Stopped/);
  await shell.prompt();
  equal(await shell.run("stty -a"), before);
  await shell.type("fg\n");
  await shell.shows(/main.ts.*\r\n/);
  await shell.type("two\n");
  await shell.shows(/two\r\ntwo\r\n/);
  await shell.type("\x1a");
  await shell.shows(/Stopped/);
  await shell.prompt();
  await shell.run("bg");
  // It reads, which nobody may in the background.
  let jobs = "";
  for (let i = 0; i < 100 && !/Stopped/.test(jobs); i++) jobs = await shell.run("sleep 0.1; jobs");
  match(jobs, /Stopped/);
  await shell.type("fg\n");
  await shell.shows(/main.ts.*\r\n/);
  await shell.type("three\n");
  await shell.shows(/three\r\nthree\r\n/);
  await shell.type("\x03");
  await shell.prompt();
  equal(await shell.run("echo $?"), "130\n");
  equal(await shell.run("stty -a"), before);
});

Deno.test("shell job: a program that fills the screen is told to draw it again", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const program =
    `$| = 1; $SIG{WINCH} = sub { print "dra", "wn\\n" }; print "u", "p\\n"; sleep 1 while 1`;
  const pid = await saved(shell, images, [`perl -e '${program}'`, "perl"], /up\r\n/);
  await restore(shell, images, pid);
  await shell.shows(/drawn\r\n/);
  await shell.type("\x03");
  await shell.prompt();
});

Deno.test("shell job: a program that asks for a secret has the modes that it set, and /dev/tty", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const before = await shell.run("stty -a");
  const program =
    "import getpass; x = getpass.getpass('secret:'); y = input('open:'); print(x + y); exit(5)";
  const pid = await saved(shell, images, [`python3 -c "${program}"`, "python3"], /secret:$/);
  await restore(shell, images, pid);
  await shell.type("forty\n");
  await shell.shows(/open:$/);
  await shell.type("two\n");
  await shell.shows(/two\r\nfortytwo\r\n/);
  await shell.prompt();
  equal(/forty/.test(shell.shown.replace("fortytwo", "")), false);
  equal(await shell.run("echo $?"), "5\n");
  equal(await shell.run("stty -a"), before);
});

Deno.test("shell job: top draws again, in another window", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  await shell.run("stty rows 20 cols 90; export TERM=vt100");
  const draws = /top - [^]*PID[^]*bash/;
  const drawsOn = () => shell.shows(/top - /);
  const pid = await saved(shell, images, ["top -d 0.3 -p $$", "top"], draws, drawsOn);
  await shell.run("stty sane; stty rows 12 cols 60");
  const before = await shell.run("stty -a");
  await restore(shell, images, pid);
  // The last line is another one now.
  // deno-lint-ignore no-control-regex
  await shell.shows(/\x1b\[12;1H[^]*top - /);
  await shell.type("q");
  await shell.prompt();
  equal(await shell.run("echo $?"), "0\n");
  equal(await shell.run("stty -a"), before);
});

Deno.test("shell job: a shell in the shell goes on with its own jobs", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  await shell.type("bash --norc --noprofile -i\n");
  await shell.shows(/[$#] $/);
  await shell.type("sleep 1000\n");
  await waitUntil(() => shell.find("sleep") !== undefined, () => "a job in the inner shell");
  const pid = shell.find("bash") as number;
  await checkpoint(pid, images);
  await shell.prompt();
  await waitUntil(() => !isAlive(pid), () => "the inner shell to be gone");
  await restore(shell, images, pid);
  await shell.type("\x1a");
  await shell.shows(/Stopped[^]*[$#] $/);
  await shell.type("fg\n");
  await shell.shows(/sleep 1000\r\n/);
  await shell.type("\x03");
  await shell.shows(/[$#] $/);
  await shell.type("exit 3\n");
  await shell.prompt();
  equal(await shell.run("echo $?"), "3\n");
});

Deno.test("shell job: what stasis run runs is a job of the shell, saved in the terminal and taken up in it", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const before = await shell.run("stty -a");
  const command = `stasis run --every 1h -D ${images.directory} -- cat\n`;
  await shell.type(command);
  await waitUntil(() => shell.find("cat") !== undefined, () => `the job:\n${shell.shown}`, 60_000);
  await shell.type("one\n");
  await shell.shows(/one\r\none\r\n/);
  await shell.type("\x1a");
  await shell.shows(/Stopped/);
  await shell.prompt();
  equal(await shell.run("stty -a"), before);
  await shell.type("fg\n");
  const cat = shell.find("cat") as number;
  const stat = () => /\) (\S) (\d+) (\d+) \d+ \d+ (-?\d+)/.exec(readIf(`/proc/${cat}/stat`)) ?? [];
  await waitUntil(() => stat()[3] === stat()[4] && stat()[1] === "S", "the job in the foreground");
  await shell.type("two\n");
  await shell.shows(/two\r\ntwo\r\n/);
  const saver = Number(stat()[2]);
  Deno.kill(saver, "SIGTERM");
  await shell.shows(/takes the job up/);
  await shell.prompt();
  equal(await shell.run("echo $?"), "75\n");
  equal(await shell.run("stty -a"), before);
  await shell.type(command);
  await shell.shows(/taken up from checkpoint/);
  await shell.type("three\n");
  await shell.shows(/three\r\nthree\r\n/);
  await shell.type("\x03");
  await shell.prompt();
  equal(await shell.run("echo $?"), "130\n");
  equal(await shell.run("stty -a"), before);
});

Deno.test("shell job: what stasis run runs is told of the size of the window, and of another one when it is taken up", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  await shell.run("stty rows 20 cols 90");
  const script = "$| = 1; $SIG{WINCH} = sub { $changed = 1 }; print `stty size`; " +
    "while (1) { sleep 1; if ($changed) { $changed = 0; print q(now ), `stty size` } }";
  const command = `stasis run --every 1h -D ${images.directory} -- perl -e '${script}'\n`;
  await shell.type(command);
  await shell.shows(/\n20 90\r\n/);
  const job = shell.find("perl") as number;
  const resize = (rows: number, cols: number) =>
    new Deno.Command("stty", {
      args: ["-F", Deno.readLinkSync(`/proc/${job}/fd/0`), "rows", `${rows}`, "cols", `${cols}`],
    }).output();
  await resize(31, 101);
  await shell.shows(/now 31 101\r\n/);
  const saver = Number(/\) \S (\d+)/.exec(readIf(`/proc/${job}/stat`))?.[1]);
  Deno.kill(saver, "SIGTERM");
  await shell.shows(/takes the job up/);
  await shell.prompt();
  await shell.run("stty rows 12 cols 60");
  await shell.type(command);
  // It may say so before the command has said that it is there.
  await shell.shows(/now 12 60\r\n/);
  await shell.type("\x03");
  await shell.prompt();
});

Deno.test("shell job: a restore that fails leaves the terminal as it was", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  await shell.run("stty sane");
  const before = await shell.run("stty -a");
  const program = "import getpass; getpass.getpass('secret:')";
  const pid = await saved(shell, images, [`python3 -c "${program}"`, "python3"], /secret:$/);
  await restore(shell, images, pid);
  // It runs, so its id is taken.
  await shell.type("\x1a");
  await shell.shows(/Stopped/);
  await shell.prompt();
  match(await shell.run(`stasis restore ${images.directory}`), new RegExp(`${pid}`));
  equal(await shell.run("echo $?"), "9\n");
  equal(await shell.run("stty -a"), before);
  await shell.type("fg\n");
  await shell.shows(/main.ts.*\r\n/);
  await shell.type("\x03");
  await shell.prompt();
  equal(await shell.run("stty -a"), before);
});

Deno.test("shell job: another program of a pipeline with the restore keeps the terminal", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const pid = await saved(shell, images, ["sleep 1000", "sleep"], /sleep 1000\r\n$/);
  const reader = `(until kill -0 ${pid} 2>/dev/null; do sleep 0.1; done; sleep 1; ` +
    "read x </dev/tty; echo GOT $x)";
  await shell.type(`stasis restore ${images.directory} | ${reader}\n`);
  await waitUntil(() => isAlive(pid) && traced(pid) === 0, () => `task ${pid} to be back`);
  await shell.type("hello\n");
  await shell.shows(/^GOT hello/m);
  Deno.kill(pid, "SIGKILL");
  await shell.prompt();
});

Deno.test("shell job: a tree that was in the background is not in the foreground", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  await shell.run("sleep 1000 &");
  await waitUntil(() => shell.find("sleep") !== undefined, () => "a job in the background");
  const pid = shell.find("sleep") as number;
  await checkpoint(pid, images);
  await restore(shell, images, pid);
  const [group, foreground] =
    /\) \S \d+ (\d+) \d+ \d+ (-?\d+) /.exec(readIf(`/proc/${pid}/stat`))?.slice(1) ?? [];
  equal(group, String(pid));
  equal(group === foreground, false);
  Deno.kill(pid, "SIGKILL");
  await shell.prompt();
});

Deno.test("shell job: less and an editor are where they were", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  await shell.run("export TERM=vt100; stty rows 20 cols 120");
  const file = `${images.directory}-file`;
  const lines = Array.from({ length: 99 }, (_, index) => `line ${index + 1}\n`).join("");
  Deno.writeTextFileSync(file, lines);
  const pager = await saved(shell, images, [`less -X ${file}`, "less"], /line 19/);
  await restore(shell, images, pager);
  await shell.shows(/line 19/);
  await shell.type("G");
  await shell.shows(/line 99/);
  await shell.type("q");
  await shell.prompt();
  equal(await shell.run("echo $?"), "0\n");

  using others = new ImageHome();
  const editor = await saved(shell, others, [
    `vim -n -u NONE --cmd 'set shortmess=F' ${file}`,
    "vim",
  ], /line 19/);
  await restore(shell, others, editor);
  await shell.shows(/line 19/);
  await shell.type("Gohere");
  await shell.shows(/here/);
  await shell.type("\x1b:wq\r");
  await shell.prompt();
  equal(await shell.run("echo $?"), "0\n");
  equal(Deno.readTextFileSync(file), `${lines}here\n`);
});

Deno.test("shell job: the first of a pipeline is saved, and is the first of another one when it is back", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const counts = "$| = 1; for (;;) { print $n++, qq(\\n); select undef, undef, undef, 0.05 }";
  await shell.type(`perl -e '${counts}' | cat\n`);
  await shell.shows(/\n5\r\n/);
  const pid = shell.find("perl") as number;
  // As a user would, from another terminal.
  const { status, stderr } = await stasis(["checkpoint", `${pid}`, "-D", images.directory]);
  equal(status, 0, stderr);
  await shell.prompt();
  await waitUntil(() => !isAlive(pid), "its end");
  const last = Number(/(\d+)\r\n[^\n]*$/.exec(shell.shown)?.[1]);
  await shell.type(`stasis restore ${images.directory} | sed -u 's/^/then /'\n`);
  for (const number of [last + 1, last + 9]) {
    await shell.shows(new RegExp(`^then ${number}\r$`, "m"));
  }
  equal(shell.shown.includes(`then ${last}\r`), false);
  Deno.kill(pid, "SIGKILL");
  await shell.prompt();
});

Deno.test("shell job: what was started with its output in a file and an & goes on behind the shell", async () => {
  using images = new ImageHome();
  await using shell = await ShellSession.start();
  const log = `${images.directory}-log`;
  const counts = "$| = 1; for (;;) { print $n++, qq(\\n); select undef, undef, undef, 0.02 }";
  await shell.run(`perl -e '${counts}' > ${log} 2>&1 &`);
  const lines = () => readIf(log).split("\n").length - 1;
  await waitUntil(() => lines() > 5, () => `its output: ${shell.shown}`);
  const pid = shell.find("perl") as number;
  // As a user would, from another terminal.
  const { status, stderr } = await stasis(["checkpoint", `${pid}`, "-D", images.directory]);
  equal(status, 0, stderr);
  const before = lines();
  await shell.run(`stasis restore --detach ${images.directory}`);
  await waitUntil(() => lines() > before + 5, () => `more output: ${shell.shown}`);
  Deno.kill(pid, "SIGKILL");
  const numbers = readIf(log).trimEnd().split("\n");
  deepEqual(numbers, numbers.map((_, index) => String(index)));
  await waitUntil(() => !isAlive(pid), "its end");
});

Deno.test("--shell-job is refused where there is no terminal, and with --detach", async () => {
  for (const [args, why] of [[[], /no terminal/], [["-d"], /not waited for/]] as const) {
    const { status, stderr } = await stasis(["restore", "/nowhere", "--shell-job", ...args]);
    equal(status, 2);
    match(stderr, why);
  }
});
