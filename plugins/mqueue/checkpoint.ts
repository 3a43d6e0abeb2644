/**
 * The checkpoint hooks.
 *
 * @module
 */
import { isMessageQueue } from "../../core/checkpoint/file_location.ts";
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { StasisError } from "../../base/errors.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import type { KernelTypes } from "../../core/linux/btf.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { fileError } from "../../core/linux/files.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { parseNotified, queueState } from "../../core/linux/mqueue.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { readComm, unlessGone } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDumper,
  MessageDraft,
} from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { mqueue_entrySchema, mqueue_notify_entrySchema } from "../../images/gen/mqueue_pb.ts";
import { MQUEUE } from "../../images/kinds/mqueue.ts";
import { KernelQueue, type Notification, SIGEV } from "./kernel_queue.ts";
import { lastUsed, peekQueue } from "./messages.ts";

type QueueDraft = MessageDraft<typeof mqueue_entrySchema> & {
  files: { id: number; flags: number }[];
};
type NotifyDraft = MessageDraft<typeof mqueue_notify_entrySchema>;

/** Makes the hooks for one checkpoint. */
export function checkpointMqueue(session: CheckpointSession): CheckpointHooks {
  const queues = new Map<bigint, QueueDraft>();
  let tasks: readonly Task[] = [];
  let types: KernelTypes | undefined;
  const claims = (descriptor: Descriptor): boolean =>
    isMessageQueue(descriptor) && !isNamedExternal(session.options, descriptor);

  const survey: DescriptorDumper["survey"] = (descriptor) => {
    const { fd, link: { text, path } } = descriptor;
    const what = `its descriptor ${fd} is the POSIX message queue ${path}`;
    const notified = notifiedOf(descriptor);
    if (notified !== undefined) {
      const told = `${what}, of whose next message process ${notified} is to be told (mq_notify)`;
      const hint = "have it take that back (mq_notify with NULL) before the checkpoint";
      if (
        unlessGone(() => descriptorOf(notified, descriptor.identity.ino), undefined) === undefined
      ) {
        return { what: `${told}, which has it open no more, or is outside of the tree`, hint };
      }
      types ??= KernelMemory.readTypes();
      if (types === undefined) {
        return {
          what: `${told}: the kernel does not tell how, and its memory cannot be read here`,
          hint: "that takes root or CAP_BPF and CAP_PERFMON, and a kernel with " +
            `CONFIG_DEBUG_INFO_BTF that is not locked down; or ${hint}`,
        };
      }
    }
    const [pid] = outsideHolders(session.writer).behind(text);
    if (pid === undefined) return undefined;
    const name = unlessGone(() => readComm(pid), "it has just ended");
    return {
      what: `${what}, which process ${pid} (${name}) outside of the tree has open, too`,
      hint: `end that first, or leave it to whoever restores (--external '${text}')`,
    };
  };

  /** A descriptor of a queue that a task has. */
  const descriptorOf = (pid: number, ino: number): Descriptor | undefined =>
    tasks.find((task) => task.pid === pid && !task.isZombie)?.descriptors
      .find((one) => claims(one) && one.identity.ino === ino);

  /** How somebody is told of a queue's messages, as the images have it. */
  const encodeNotification = (pid: number, ino: number, told: Notification): NotifyDraft => {
    const fd = descriptorOf(pid, ino)?.fd;
    if (fd === undefined) throw lostOwner(pid);
    if (told.how === SIGEV.NONE) return { pid, fd, how: told.how };
    if (told.how === SIGEV.SIGNAL) return { pid, fd, ...told };
    const socket = tasks.find((task) => task.pid === pid)?.descriptors
      .find(({ link }) => link.text === `socket:[${told.socket}]`)?.fd;
    if (socket === undefined) throw lostOwner(pid);
    return { pid, fd, how: told.how, socket, cookie: told.cookie };
  };

  /** What is in a queue, and who is told of the next message in it. */
  const contentsOf = (
    descriptor: Descriptor,
    fd: number,
  ): Pick<QueueDraft, "messages" | "notify"> => {
    const { identity: { ino }, link: { path } } = descriptor;
    const notified = notifiedOf(descriptor);
    if (notified === undefined) {
      using file = reopen(fd);
      return { messages: peekQueue(file.fd, path) };
    }
    types ??= KernelMemory.readTypes();
    using memory = types && KernelMemory.open(types);
    if (memory === undefined) throw lostOwner(notified);
    const queue = new KernelQueue(memory, fd);
    const told = queue.notification();
    const messages = queue.messages();
    // A queue of another kernel's making.
    if (told === undefined || messages.length !== queueState(fd).messages) {
      throw lostOwner(notified);
    }
    return { messages, notify: encodeNotification(notified, ino, told) };
  };

  return {
    survey({ tasks: all }) {
      tasks = all;
      const texts = all.flatMap((task) => task.descriptors.filter(claims)).map(({ link }) =>
        link.text
      );
      outsideHolders(session.writer).look(all, texts);
    },

    descriptors: [{
      kind: "POSIX message queue",
      claims,
      survey,
      dump({ descriptor, id, fd }) {
        const { identity: { ino }, info } = descriptor;
        const inode = BigInt(ino);
        let queue = queues.get(inode);
        if (queue === undefined) {
          queues.set(inode, queue = describe(descriptor, fd, contentsOf(descriptor, fd)));
        }
        queue.files.push({ id, flags: info.flags & ~O.CLOEXEC });
        session.requirePlugin();
        return { type: fd_types.MQUEUE };
      },
    }],

    dumpTree() {
      for (const queue of queues.values()) session.writer.append(MQUEUE, null, queue);
    },
  };
}

/** Describes a queue. @param fd a descriptor of it here */
function describe(
  { identity: { ino }, link: { path, deleted } }: Descriptor,
  fd: number,
  contents: Pick<QueueDraft, "messages" | "notify">,
): QueueDraft {
  const { uid, gid, mode } = Deno.statSync(`/proc/self/fd/${fd}`);
  const { maxMessages, messageSize } = queueState(fd);
  return {
    inode: BigInt(ino),
    name: path.slice(1),
    removed: deleted || undefined,
    uid: uid ?? 0,
    gid: gid ?? 0,
    mode: (mode ?? 0) & 0o7777,
    maxMessages,
    messageSize,
    files: [],
    ...contents,
    lastUsed: lastUsed(fd),
  };
}

/** A registration that is another one than the survey has seen. */
function lostOwner(pid: number): StasisError {
  return new StasisError(
    "unsupported",
    "it cannot be told how it is to be told of a message queue's next message (mq_notify)",
    { pid, hint: "have it take that back (mq_notify with NULL) before the checkpoint" },
  );
}

/** Who is told of the next message of a queue. */
function notifiedOf({ liveTid, fd }: Descriptor): number | undefined {
  try {
    return parseNotified(Deno.readTextFileSync(`/proc/${liveTid}/fd/${fd}`));
  } catch {
    // Closed meanwhile.
    return undefined;
  }
}

/** The queue of a descriptor, to be read and written, whatever the descriptor is for. @throws {StasisError} */
function reopen(fd: number): OwnedDescriptor {
  const path = `/proc/self/fd/${fd}`;
  const flags = O.RDWR | O.NONBLOCK | O.CLOEXEC;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags, 0);
  if (isErrno(opened)) throw fileError("open", path, opened);
  return new OwnedDescriptor(Number(opened));
}
