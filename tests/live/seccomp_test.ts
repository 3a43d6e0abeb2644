/**
 * Seccomp: every answer of a filter, chains, trees, threads and strict mode come back, and a checkpoint that
 * lets the program run leaves it alone. Together with Syscall User Dispatch: `sud_seccomp_test.ts`.
 */
import assert from "@std/assert";
import { SECCOMP } from "../../images/kinds/seccomp.ts";
import { checkpoint, openImages, restore } from "../../mod.ts";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { buildSubject } from "../harness/build.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf } from "./round_trip.ts";

const unable = ownInability() !== undefined;
/** Setting 50 threads up takes its time on a busy machine. */
const MANY_MS = 60_000;

for (const [name, variants] of Object.entries(VARIANTS)) {
  if (!name.startsWith("seccomp_") || name === "seccomp_notify") continue;
  for (const args of variants) {
    const options = { args, timeoutMs: MANY_MS };
    Deno.test({
      name: `${variantName(name, args)}: survives`,
      ignore: unable,
      fn: (t) => bringsBack(t, name, options),
    });
    Deno.test({
      name: `${variantName(name, args)}: is left alone`,
      ignore: unable,
      fn: (t) => leavesAlone(t, name, options),
    });
  }
}

Deno.test({
  name: "Seccomp and Seccomp_filters of every thread are what they were",
  ignore: unable,
  async fn() {
    for (const mode of ["tsync", "grown", "own", "strict"]) {
      using images = new ImageHome();
      await using subject = await Subject.start("seccomp_threads", { args: [mode, "6"] });
      const before = seccompOf(subject.pid);
      assert.ok([...before.values()].some((line) => !line.includes("Seccomp:\t0")));
      await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
      const tree = await restore(images.directory);
      assert.deepEqual(seccompOf(subject.pid), before);
      await subject.expectPass();
      await tree.wait();
    }
  },
});

Deno.test({
  name: "seccomp.img has each chain once, as CRIU has it",
  ignore: unable,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.start("seccomp_threads", { args: ["tsync", "50"] });
    await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
    const { seccompFilters } = openImages(images.directory).read(SECCOMP, null);
    assert.equal(seccompFilters.length, 2);
    // The one installed first stands last, and leads to the one installed after it.
    assert.deepEqual(seccompFilters.map(({ flags }) => flags), [1, 1]);
    assert.equal(seccompFilters[1]?.prev, 0);
  },
});

Deno.test({
  name: "a filter with a listener, and the listener, are refused with the reason",
  ignore: unable,
  async fn() {
    for (const what of ["with", "without"]) {
      await using subject = await Subject.start("seccomp_notify", { args: [what] });
      const problems = await problemsOf(subject.pid);
      const found = problems.map(({ plugin, what }) => `${plugin}: ${what}`).join("\n");
      // Where a descriptor is seen the survey of the running program refuses it already.
      assert.match(found, what === "with" ? /seccomp.*listens to the calls/ : /USER_NOTIF/);
      await subject.expectPass();
    }
  },
});

/** Puts a command under a filter that allows everything: prctl(PR_SET_NO_NEW_PRIVS), seccomp(2). */
const UNDER_SECCOMP = `
  syscall(157, 38, 1, 0, 0, 0);
  my $code = pack("S C C L", 6, 0, 0, 0x7fff0000);
  syscall(317, 1, 0, pack("S x6 P", 1, $code)) == 0 or die;
  exec @ARGV or die;`;

Deno.test({
  name: "a tool that may not suspend seccomp refuses such programs, says why, and saves others",
  ignore: unable,
  async fn() {
    const main = new URL("../../cli/main.ts", import.meta.url).pathname;
    const tool = [Deno.execPath(), "run", "-A", "--no-check", main, "checkpoint"];
    for (
      const [launcher, reason] of [
        [["setpriv", "--bounding-set=-sys_admin"], /under seccomp.*no CAP_SYS_ADMIN/],
        [["perl", "-e", UNDER_SECCOMP], /under seccomp.*this tool is under seccomp itself/],
      ] as const
    ) {
      const run = async (pid: number, directory: string) => {
        const [command, ...args] = [
          ...launcher,
          ...tool,
          String(pid),
          "-R",
          "-D",
          directory,
        ];
        const { code, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
        return { code, said: new TextDecoder().decode(stderr) };
      };
      using images = new ImageHome();
      await using sandboxed = await Subject.start("seccomp_chain", { args: ["2"] });
      const refused = await run(sandboxed.pid, images.directory);
      assert.equal(refused.code, 4, refused.said);
      assert.match(refused.said.replaceAll(/\s+/g, " "), reason);
      await sandboxed.expectPass();
      // It has no capability that the tool could not give it at a restore.
      await using plain = await Subject.run("setpriv", {
        args: ["--bounding-set=-sys_admin", await buildSubject("sig_handlers")],
      });
      const saved = await run(plain.pid, images.directory);
      assert.equal(saved.code, 0, saved.said);
      await plain.expectPass();
    }
  },
});

Deno.test({
  name:
    "a process under filters is saved while it is stopped, and while it is stopped and continued all the time",
  ignore: unable,
  async fn() {
    await using subject = await Subject.start("seccomp_guard", { args: ["4"], timeoutMs: MANY_MS });
    const { pid } = subject;
    const save = async () => {
      using images = new ImageHome();
      await checkpoint(pid, {
        directory: images.directory,
        leaveRunning: true,
        options: UNHURRIED,
      });
    };
    Deno.kill(pid, "SIGSTOP");
    await waitUntil(() => readProcess(pid)?.state === "T", "it to be stopped");
    await save();
    await waitUntil(() => readProcess(pid)?.state === "T", "it to be stopped again");
    // Without a pause a traced thread would stop for the next one before it has made a step.
    const script =
      'while kill -CONT "$1" && kill -STOP "$1" && kill -CONT "$1"; do sleep 0.001; done';
    const storm = new Deno.Command("sh", { args: ["-c", script, "", `${pid}`] }).spawn();
    try {
      for (let round = 0; round < 3; round++) await save();
    } finally {
      storm.kill("SIGKILL");
      await storm.status;
    }
    Deno.kill(pid, "SIGCONT");
    await subject.expectPass();
    assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
  },
});
