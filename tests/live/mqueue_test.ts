import { equal, match } from "@std/assert";
import { fileURLToPath } from "node:url";
import { isErrno } from "../../core/linux/errno.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { definePlugin } from "../../core/plugin.ts";
import { checkpoint, DEFAULT_PLUGINS, restore } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf } from "./round_trip.ts";

/** Another process that does something with a queue. */
async function user(...args: readonly string[]): Promise<Subject> {
  const source = fileURLToPath(new URL("./programs/mqueue_user.c", import.meta.url));
  const subject = await Subject.run(await buildProgram(source), { args });
  await subject.waitReady();
  return subject;
}

/** Whether there is a queue of this name. */
function queueExists(name: string): boolean {
  const fd = syscall(SYSCALLS.mq_open, cString(name.slice(1)), 0, 0, 0);
  if (isErrno(fd)) return false;
  syscall(SYSCALLS.close, fd);
  return true;
}

Deno.test("mqueue: it is what it was after a restore", (t) => bringsBack(t, "mqueue"));

Deno.test("mqueue: a checkpoint that lets it run changes nothing", (t) => leavesAlone(t, "mqueue"));

Deno.test("mqueue: a queue that was removed meanwhile is made anew, also after a restore that failed", async (t) => {
  using images = new ImageHome();
  await using subject = await Subject.start("mqueue");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const name = subject.fact("name");
  {
    await using other = await user("unlink", name);
    await other.expectPass();
  }
  const failing = definePlugin({
    name: "failing",
    description: "fails when all else is done",
    restore: () => ({
      armThread() {
        throw new Error("it fails");
      },
    }),
  });
  await failureOf(restore(images.directory, { plugins: [...DEFAULT_PLUGINS, failing] }));
  equal(queueExists(name), false);
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("mqueue: what is in a queue is what was in it at the checkpoint", async (t) => {
  using images = new ImageHome();
  await using subject = await Subject.start("mqueue");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const pids = subject.pids();
  for (const pid of pids) Deno.kill(pid, "SIGKILL");
  await subject.waitGone();
  const name = subject.fact("name");
  {
    await using other = await user("put", name);
    const { problems } = await failureOf(restore(images.directory));
    match(problems[0]?.what ?? "", new RegExp(`process ${other.pid} has the POSIX .*${name} open`));
  }
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("mqueue: a queue that somebody outside has open, too, is refused by name", async (t) => {
  await using subject = await Subject.start("mqueue");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  const name = subject.fact("name");
  {
    await using other = await user("open", name);
    const problems = await problemsOf(subject.pid);
    for (const { what, hint } of problems) {
      match(what, new RegExp(`queue ${name}, which process ${other.pid} .* outside`));
      match(hint ?? "", /--external/);
    }
    equal(problems.length > 0, true);
  }
  await subject.expectPass();
});

Deno.test("mqueue: a process that is to be told of messages is refused, and left alone", async () => {
  await using subject = await user("notify");
  const [problem] = await problemsOf(subject.pid);
  match(problem?.what ?? "", /is to be told \(mq_notify\)/);
  await subject.expectPass();
});
