import { deepEqual, equal, match } from "@std/assert";
import { fileURLToPath } from "node:url";
import { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { O } from "../../core/linux/fcntl.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { mqAttr } from "../../core/linux/mqueue.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { readLimits, type ResourceLimit } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { definePlugin } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { checkpoint, DEFAULT_PLUGINS, restore, type StasisEvent } from "../../mod.ts";
import { peekQueue } from "../../plugins/mqueue/messages.ts";
import { buildProgram } from "../harness/build.ts";
import { waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf } from "./round_trip.ts";

const RLIMIT_MSGQUEUE = 12;

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
  const notes: string[] = [];
  const onEvent = (event: StasisEvent) => void (event.kind === "note" && notes.push(event.text));
  const tree = await restore(images.directory, { onEvent });
  const of = notes.filter((text) => text.includes("message queue"));
  match(of.join("; "), new RegExp(`^the POSIX message queue ${name} .*the 4 messages .* 5 that`));
  await subject.expectPass();
  await tree.wait();
});

Deno.test("mqueue: a queue is made anew though this process's limit allows none", async (t) => {
  using images = new ImageHome();
  await using subject = await Subject.start("mqueue");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  {
    await using other = await user("unlink", subject.fact("name"));
    await other.expectPass();
  }
  const { soft, hard } = readLimits(Deno.pid)[RLIMIT_MSGQUEUE] as ResourceLimit;
  const limit = (soft: bigint) => {
    const words = new Uint8Array(BigUint64Array.of(soft, hard).buffer);
    return syscall(SYSCALLS.prlimit64, 0, RLIMIT_MSGQUEUE, words, 0);
  };
  equal(limit(0n), 0n);
  try {
    const tree = await restore(images.directory);
    await subject.expectPass();
    await tree.wait();
  } finally {
    limit(soft);
  }
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

Deno.test("mqueue: a queue of others is left to whoever restores where the user says so", async (t) => {
  using images = new ImageHome();
  await using other = await Subject.start("mqueue");
  if (other.unsupported !== null) return skip(t, other.unsupported);
  const name = other.fact("name");
  const receive = "import ctypes, os\nlibc = ctypes.CDLL(None)\n" +
    `fd = libc.mq_open(b"${name}", os.O_RDWR)\nprint(fd, flush=True)\n` +
    "import signal\nsignal.sigwait([signal.SIGTERM])\n" +
    "os.write(1, b'attributes %d' % libc.mq_getattr(fd, ctypes.create_string_buffer(64)))";
  await using subject = await Subject.spawn("/usr/bin/python3", {
    args: ["-c", `import signal\nsignal.pthread_sigmask(0, [signal.SIGTERM])\n${receive}`],
  });
  await waitUntil(() => /^\d+\n/.test(subject.output()), () => `the queue:\n${subject.errors()}`);
  await checkpoint(subject.pid, { directory: images.directory, options: { external: [name] } });
  await subject.waitGone();
  const { problems } = await failureOf(restore(images.directory));
  match(problems.map(({ hint }) => hint).join(), /--inherit-fd/);
  const opened = syscall(SYSCALLS.mq_open, cString(name.slice(1)), O.RDWR, 0, 0);
  using queue = new OwnedDescriptor(Number(opened));
  const tree = await restore(images.directory, { options: { inheritFds: { [name]: queue.fd } } });
  tree.kill(15);
  await tree.wait();
  match(subject.output(), /attributes 0$/);
  // It has its messages still.
  await other.expectPass();
});

/** Whether who is to be told of messages can be told here: it takes the kernel's memory. */
const tellsOfNotifications = KernelMemory.readTypes() !== undefined;

Deno.test("mqueue_notify: it is what it was after a restore", async (t) => {
  if (tellsOfNotifications) return await bringsBack(t, "mqueue_notify");
  await using subject = await Subject.start("mqueue_notify");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  for (const { what } of await problemsOf(subject.pid)) {
    match(what, /is to be told \(mq_notify\): .* its memory cannot be read/);
  }
  await subject.expectPass();
});

Deno.test("mqueue_notify: a checkpoint that lets it run changes nothing", async (t) => {
  if (tellsOfNotifications) return await leavesAlone(t, "mqueue_notify");
  skip(t, "the kernel's memory cannot be read here");
});

Deno.test("mqueue: messages for which there is no room any more are sent when there is", async () => {
  const bytes = mqAttr.make({ maxMessages: 2n, messageSize: 8n });
  const name = cString(`stasis-full-${Deno.pid}`);
  const flags = O.CREAT | O.EXCL | O.RDWR | O.NONBLOCK;
  using queue = new OwnedDescriptor(Number(syscall(SYSCALLS.mq_open, name, flags, 0o600, bytes)));
  syscall(SYSCALLS.mq_unlink, name);
  const send = (text: string, priority: number) =>
    syscall(SYSCALLS.mq_timedsend, queue.fd, cString(text), text.length, priority, 0);
  equal(send("one", 5), 0n);
  equal(send("two", 3), 0n);
  const meanwhile = (program: SyscallProgram, fd: number): void => {
    program.call("mq_timedsend", fd, "other", 5, 1, 0);
  };
  await failureOf(Promise.try(() => peekQueue(queue.fd, "it", meanwhile)));
  const got: string[] = [];
  const buffer = new Uint8Array(8);
  await waitUntil(() => {
    const size = syscall(SYSCALLS.mq_timedreceive, queue.fd, buffer, 8, 0, 0);
    if (!isErrno(size)) got.push(new TextDecoder().decode(buffer.subarray(0, Number(size))));
    return got.length === 3;
  }, () => `all messages: ${got}`);
  // Whether it waits already when there is room is not known.
  deepEqual(got.sort(), ["one", "other", "two"]);
});
