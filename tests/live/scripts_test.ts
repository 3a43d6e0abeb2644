/** Scripts and plugins of users, anywhere on the machine: what they import from "stasis" is what the command is. */
import { deepEqual, equal, match, throws } from "@std/assert";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { becomesSleep, ImageHome, startSleeper } from "./round_trip.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** Saves a process, prints what was saved, restores it, and fails by an error that it does not catch. */
const PIPELINE = `
import { checkpoint, kinds, openImages, restore, type StasisError } from "stasis";
const [pid, directory, ...more] = Deno.args;
const saved = await checkpoint(Number(pid), { directory });
const root = openImages(directory).readList(kinds.pstree, null)[0].pid;
console.log(JSON.stringify({ saved, root, more, main: import.meta.main }));
await restore(directory, { options: { detached: true } });
const failure: StasisError = await checkpoint(0x3fffffff, { directory: directory + "2" }).then(
  () => { throw new Error("it cannot be there") },
  (error) => error,
);
throw failure;
`;

Deno.test("stasis script runs a file from anywhere, with its arguments, and ends as commands do", async () => {
  using images = new ImageHome();
  const file = `${images.directory}.ts`;
  await Deno.writeTextFile(file, PIPELINE);
  await using subject = await startSleeper("");
  const pid = String(subject.pid);
  const { status, stdout, stderr } = await stasis([
    ...["script", file, pid, images.directory],
    ...["--json", "-x"],
  ]);
  equal(status, 3, stderr);
  match(stderr, /^stasis: [^\n]*1073741823[^\n]*\nhint: /m);
  const { saved, root, more, main } = JSON.parse(stdout);
  deepEqual([saved.pid, root, more, main], [subject.pid, subject.pid, ["--json", "-x"], true]);
  equal(typeof saved.bytes, "number");
  await becomesSleep(subject.pid);
});

Deno.test("stasis script --check refuses a file with wrong types, and does not run it", async () => {
  using images = new ImageHome();
  const file = `${images.directory}.ts`;
  await Deno.writeTextFile(file, `const number: number = "text"; console.log("runs", number);`);
  const { status, stdout, stderr } = await stasis(["script", "--check", file]);
  equal(status, 2, stderr);
  equal(stdout, "");
  match(stderr, /TS2322[^]*stasis: the types of \S+ are wrong/);
});

Deno.test("SIGINT cancels the checkpoint of a script as that of the command, and its target runs on", async () => {
  using images = new ImageHome();
  const file = `${images.directory}.ts`;
  // It interrupts itself when it has begun.
  await Deno.writeTextFile(
    file,
    `import { checkpoint } from "stasis";
     await checkpoint(Number(Deno.args[0]), {
       directory: Deno.args[1],
       onEvent: ({ phase }) => phase === "freeze" && Deno.kill(Deno.pid, "SIGINT"),
     });`,
  );
  await using subject = await startSleeper("");
  const outcome = await stasis(["script", file, String(subject.pid), images.directory]);
  equal(outcome.status, 130, outcome.stderr);
  equal(readProcess(subject.pid)?.comm, "sleep");
  throws(() => Deno.statSync(images.directory), Deno.errors.NotFound);
});

Deno.test("stasis plugin writes a plugin whose test passes, and that saves what it is for", async () => {
  using images = new ImageHome();
  const home = `${images.directory}.plugin`;
  await Deno.mkdir(home);
  const run = async (...args: string[]) => {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--allow-all", MAIN, ...args],
      cwd: home,
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
    equal(success, true, new TextDecoder().decode(stderr));
  };
  await run("plugin", "new", "tunnel");
  await run("plugin", "test", "tunnel.ts");
  // What an editor goes by.
  const { importMap } = JSON.parse(await Deno.readTextFile(`${home}/deno.json`));
  equal(JSON.parse(await Deno.readTextFile(importMap)).imports.stasis, "./mod.ts");

  const file = `${home}/tunnel.ts`;
  const text = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, text.replaceAll("/dev/tunnel", "/dev/net/tun"));
  const program =
    `use Fcntl; sysopen(my $t, "/dev/net/tun", O_RDWR) or die; print "open\\n"; $| = 1;
    sleep 1 while 1`;
  await using subject = await Subject.spawn("perl", { args: ["-e", `$| = 1; ${program}`] });
  await waitUntil(() => subject.output().includes("open"), () => subject.errors());
  const tunnels = () =>
    [...Deno.readDirSync(`/proc/${subject.pid}/fd`)]
      .filter(({ name }) => Deno.readLinkSync(`/proc/${subject.pid}/fd/${name}`) === "/dev/net/tun")
      .map(({ name }) => name);
  const before = tunnels();
  equal(before.length, 1);
  await run("checkpoint", String(subject.pid), "-D", images.directory, "--plugin", file);
  await subject.waitGone();
  await run("restore", images.directory, "--detach", "--plugin", file);
  deepEqual(tunnels(), before);
});
