/**
 * cron(8), a service with a locked file that tells its process id: it keeps its lock, and its table of jobs, where it is
 * left running and where it is restored. It has a root directory of its own, since the machine may have a cron, too.
 */
import { equal, match } from "@std/assert";
import { checkpoint, restore } from "../../mod.ts";
import { locateProgram } from "../../scripts/setup/unpacked.ts";
import { waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { furnish, put } from "../programs/root_directory.ts";
import { ImageHome } from "./round_trip.ts";

const exists = (path: string) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
};

/** Installed, or unpacked by the tests' set-up. */
const CRON = locateProgram("cron", ["/usr/sbin"], exists);
const PROGRAM = CRON.program === "cron" ? "/usr/sbin/cron" : CRON.program;
/** What lets everybody in: cron asks whether whom a job is of may have one. */
const PERMIT = "/lib/x86_64-linux-gnu/security/pam_permit.so";
/** A job is begun at each full minute; and some more, on a busy machine. */
const PATIENCE_MS = 240_000;

/** A root directory with cron and a job for each minute. */
function makeRoot(root: string): void {
  furnish(root, [PROGRAM, "/bin/sh"], CRON.env);
  put(root, PERMIT);
  for (const name of ["run", "tmp", "etc/pam.d", "etc/cron.d", "var/spool/cron/crontabs"]) {
    Deno.mkdirSync(`${root}/${name}`, { recursive: true });
  }
  Deno.symlinkSync("../run", `${root}/var/run`);
  const permit = ["auth", "account", "session"].map((what) => `${what} sufficient pam_permit.so\n`);
  for (
    const [name, text] of [
      ["passwd", "root:x:0:0:root:/:/bin/sh\n"],
      ["group", "root:x:0:\n"],
      ["pam.d/cron", permit.join("")],
      ["crontab", "* * * * * root echo ran >>/tmp/log\n"],
    ] as const
  ) Deno.writeTextFileSync(`${root}/etc/${name}`, text, { mode: 0o644 });
}

Deno.test("cron keeps the lock of the file of its process id, and begins its jobs, left running and restored", async (t) => {
  if (!exists(PROGRAM)) return skip(t, "cron is not installed");
  if (!exists(PERMIT)) return skip(t, `there is no ${PERMIT}`);
  const root = Deno.makeTempDirSync({ prefix: "stasis-root-" });
  using _root = { [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }) };
  makeRoot(root);
  using images = new ImageHome();
  using again = new ImageHome();
  const command = { args: [root, PROGRAM, "-f"], env: CRON.env };
  await using subject = await Subject.spawn("chroot", command);
  const { pid } = subject;
  const noted = () =>
    exists(`${root}/run/crond.pid`) && Deno.readTextFileSync(`${root}/run/crond.pid`);
  await waitUntil(() => noted() === `${pid}\n`, () => `its file: ${subject.errors()}`);

  /** Another one finds the lock, and whose it is. */
  function expectLocked(): void {
    const { success, stderr } = new Deno.Command("chroot", { ...command, stdin: "null" })
      .outputSync();
    equal(success, false);
    match(
      new TextDecoder().decode(stderr),
      new RegExp(`can't lock /var/run/crond\\.pid, otherpid may be ${pid}: `),
    );
  }

  expectLocked();
  await checkpoint(pid, { directory: images.directory, leaveRunning: true });
  expectLocked();
  await checkpoint(pid, again);
  await subject.waitGone();
  const tree = await restore(again.directory);
  expectLocked();
  const ran = () => exists(`${root}/tmp/log`) ? Deno.statSync(`${root}/tmp/log`).size : 0;
  const before = ran();
  await waitUntil(() => ran() > before, () => `its job to run: ${subject.errors()}`, PATIENCE_MS);
  tree.kill(9);
  await tree.wait();
});
