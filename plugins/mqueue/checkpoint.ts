/**
 * The checkpoint hooks.
 *
 * @module
 */
import { isMessageQueue } from "../../core/checkpoint/file_location.ts";
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { fileError } from "../../core/linux/files.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
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
import type { mqueue_entrySchema } from "../../images/gen/mqueue_pb.ts";
import { MQUEUE } from "../../images/kinds/mqueue.ts";
import { lastUsed, peekQueue } from "./messages.ts";

type QueueDraft = MessageDraft<typeof mqueue_entrySchema> & {
  files: { id: number; flags: number }[];
};

/** Makes the hooks for one checkpoint. */
export function checkpointMqueue(session: CheckpointSession): CheckpointHooks {
  const queues = new Map<bigint, QueueDraft>();
  const claims = (descriptor: Descriptor): boolean =>
    isMessageQueue(descriptor) && !isNamedExternal(session.options, descriptor);

  const survey: DescriptorDumper["survey"] = (descriptor) => {
    const { fd, link: { text, path } } = descriptor;
    const what = `its descriptor ${fd} is the POSIX message queue ${path}`;
    const notified = notifiedOf(descriptor);
    if (notified !== undefined) {
      return {
        what: `${what}, of whose next message process ${notified} is to be told (mq_notify): ` +
          "the kernel does not tell how",
        hint: "have it take that back (mq_notify with NULL) before the checkpoint",
      };
    }
    const [pid] = outsideHolders(session.writer).behind(text);
    if (pid === undefined) return undefined;
    const name = unlessGone(() => readComm(pid), "it has just ended");
    return {
      what: `${what}, which process ${pid} (${name}) outside of the tree has open, too`,
      hint: `end that first, or leave it to whoever restores (--external '${text}')`,
    };
  };

  return {
    survey({ tasks }) {
      const texts = tasks.flatMap((task) => task.descriptors.filter(claims)).map(({ link }) =>
        link.text
      );
      outsideHolders(session.writer).look(tasks, texts);
    },

    descriptors: [{
      kind: "POSIX message queue",
      claims,
      survey,
      dump({ descriptor, id, fd }) {
        const { identity: { ino }, info, link } = descriptor;
        const inode = BigInt(ino);
        let queue = queues.get(inode);
        if (queue === undefined) queues.set(inode, queue = describe(inode, link, fd));
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

/** Describes a queue with its messages. @param fd a descriptor of it here */
function describe(inode: bigint, { path, deleted }: Descriptor["link"], fd: number): QueueDraft {
  using file = reopen(fd);
  const { uid, gid, mode } = Deno.statSync(`/proc/self/fd/${fd}`);
  const { maxMessages, messageSize } = queueState(fd);
  const messages = peekQueue(file.fd, path);
  return {
    inode,
    name: path.slice(1),
    removed: deleted || undefined,
    uid: uid ?? 0,
    gid: gid ?? 0,
    mode: (mode ?? 0) & 0o7777,
    maxMessages,
    messageSize,
    files: [],
    messages,
    lastUsed: lastUsed(fd),
  };
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
