/** The harness itself: what it says of a subject that dies, fails, forks or is killed. */

import assert from "@std/assert";
import { buildProgram } from "./build.ts";
import { allPids, isAlive, readProcess, waitUntil } from "./processes.ts";
import { Subject } from "./subject.ts";

/** Runs `body` on a program compiled of `source`, a main() with the subject's header. */
async function withProgram(source: string, body: (program: string) => Promise<void>) {
  const dir = await Deno.makeTempDir({ prefix: "stasis-harness-" });
  try {
    const header = new URL("../subjects/subject.h", import.meta.url).pathname;
    await Deno.writeTextFile(`${dir}/probe.c`, `#include "${header}"\n${source}`);
    await body(await buildProgram(`${dir}/probe.c`));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("Subject.run() gives facts, and standard streams that are regular files", async () => {
  const source = `int main(void) { subject_init(); fact("ppid", "%d", getppid());
    fact("sid", "%d", getsid(0)); ready(); wait_for_term(); check(true, "a", "-"); finish(); }`;
  await withProgram(source, async (program) => {
    await using subject = await Subject.run(program);
    assert.equal(subject.fact("ppid"), String(Deno.pid));
    assert.equal(subject.fact("sid"), String(subject.pid));
    const fds = [...Deno.readDirSync(`/proc/${subject.pid}/fd`)].map((entry) => entry.name).sort();
    assert.deepEqual(fds, ["0", "1", "2"]);
    for (const fd of fds) assert.ok(Deno.statSync(`/proc/${subject.pid}/fd/${fd}`).isFile);
    assert.deepEqual((await subject.verdict()).ok, ["a"]);
  });
});

Deno.test("Subject.verdict() tells what failed and why", async () => {
  const source = `int main(void) { subject_init(); ready(); wait_for_term();
    check_equal("one", 2, 1); check(true, "two", "-"); finish(); }`;
  await withProgram(source, async (program) => {
    await using subject = await Subject.run(program);
    const verdict = await subject.verdict();
    assert.equal(verdict.pass, false);
    assert.deepEqual(verdict.failed, ["one: 2 (0x2) instead of 1 (0x1)"]);
    await using other = await Subject.run(program);
    await assert.rejects(other.expectPass(), /FAIL one/);
  });
});

Deno.test("Subject.run() rejects with what a dying subject wrote", async () => {
  await withProgram(`int main(void) { errno = ENOSPC; die("no luck"); }`, async (program) => {
    await assert.rejects(Subject.run(program), /no luck\nerror errno 28/);
  });
});

Deno.test("Subject.verdict() rejects when the subject is gone", async () => {
  const source = `int main(void) { subject_init(); ready(); wait_for_term(); _exit(0); }`;
  await withProgram(source, async (program) => {
    await using killed = await Subject.run(program);
    Deno.kill(killed.pid, "SIGKILL");
    await killed.waitGone();
    await assert.rejects(killed.verdict(), /is gone/);
    await using silent = await Subject.run(program);
    await assert.rejects(silent.verdict(), /died without a verdict/);
  });
});

Deno.test("Subject leaves no zombie at its pid after SIGKILL from elsewhere", async () => {
  const source = `int main(void) { subject_init(); ready(); wait_for_term(); finish(); }`;
  await withProgram(source, async (program) => {
    await using subject = await Subject.run(program);
    await new Deno.Command("kill", { args: ["-9", String(subject.pid)] }).output();
    await subject.waitGone(1000);
    assert.equal(readProcess(subject.pid), null);
  });
});

Deno.test("Subject's disposal kills orphans in other sessions and removes its files", async () => {
  const source = `int main(void) { int told[2]; char byte; subject_init(); pipe(told);
    if (fork() == 0) { setsid(); if (fork()) _exit(0);
    fact("orphan", "%d", getpid()); write(told[1], "", 1); wait_for_term(); pause(); }
    read(told[0], &byte, 1); ready(); wait_for_term(); finish(); }`;
  await withProgram(source, async (program) => {
    let orphan: number;
    let stdout: string;
    {
      await using subject = await Subject.run(program);
      orphan = Number(subject.fact("orphan"));
      stdout = subject.stdout;
      assert.ok(isAlive(orphan));
      assert.deepEqual(subject.pids(), [subject.pid, orphan]);
    }
    await waitUntil(() => !isAlive(orphan), "the orphan to die", 1000);
    assert.throws(() => Deno.statSync(stdout), Deno.errors.NotFound);
    assert.ok(allPids().includes(Deno.pid));
  });
});

Deno.test("buildProgram() says what the compiler said", async () => {
  const dir = await Deno.makeTempDir({ prefix: "stasis-harness-" });
  try {
    await Deno.writeTextFile(`${dir}/wrong.c`, "int main(void) { return nothing; }\n");
    await assert.rejects(buildProgram(`${dir}/wrong.c`), /nothing.*undeclared/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
