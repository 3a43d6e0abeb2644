/**
 * The restore hooks.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { OutsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { Errno, errnoName, isErrno } from "../../core/linux/errno.ts";
import { O } from "../../core/linux/fcntl.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { mqAttr, mqSigevent, queueState } from "../../core/linux/mqueue.ts";
import { readLimits, type ResourceLimit, RLIM_INFINITY } from "../../core/linux/procfs/limits.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { LoadContext, RestoreHooks, RestoreSession, TreePlanner } from "../../core/plugin.ts";
import type { CallResult, SyscallProgram } from "../../core/remote/program.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { mqueue_entry, mqueue_notify_entry } from "../../images/gen/mqueue_pb.ts";
import { PSTREE } from "../../images/kinds/core.ts";
import { MQUEUE } from "../../images/kinds/mqueue.ts";
import { uniqueById } from "../../images/unique.ts";
import { COOKIE_SIZE, SIGEV } from "./kernel_queue.ts";
import { lastUsed } from "./messages.ts";

/** MQ_PRIO_MAX (include/uapi/linux/mqueue.h). */
const PRIORITIES = 32768;
/** HARD_MSGMAX and HARD_MSGSIZEMAX (include/linux/ipc_namespace.h). */
const MAX_MESSAGES = 65536, MAX_SIZE = 1 << 24;

/** _NSIG of `arch/x86/include/asm/signal.h`. */
const SIGNALS = 64;

/** `include/uapi/asm-generic/resource.h`. */
const RLIMIT_MSGQUEUE = 12;

/** A queue, and where it is on this machine. */
interface PlannedQueue {
  readonly entry: mqueue_entry;
  /** The name by which it is opened: of a removed one whose name another has by now, one of this restore's. */
  readonly name: string;
  /** How many messages are in it; undefined where it is to be made. */
  readonly waiting: number | undefined;
}

/** Makes the hooks for one restore. */
export function restoreMqueue(session: RestoreSession): RestoreHooks {
  const { images, rehearsal, note } = session;
  const queues: PlannedQueue[] = [];
  /** The calls that open the files, by id. */
  const opened = new Map<number, CallResult>();

  return {
    load(context) {
      if (!images.has(MQUEUE, null)) return;
      const path = images.pathOf(MQUEUE, null);
      const entries = images.readList(MQUEUE, null);
      uniqueById(entries, ({ inode }) => inode, path, "queue");
      const pids = new Set(images.readList(PSTREE, null).map(({ pid }) => pid));
      uniqueById(entries.flatMap((one) => one.files), ({ id }) => id, path, "file");
      for (const entry of entries) {
        checkEntry(entry, path, pids);
        queues.push(find(entry, rehearsal, context, note));
      }
    },

    planTree(tree) {
      if (queues.length === 0) return;
      const putBack = planNoLimit(tree.seed);
      for (const queue of queues) planQueue(tree, queue, opened);
      putBack();
    },

    planTask(task) {
      for (const { entry: { notify } } of queues) {
        // A task that closes any descriptor of the queue takes it back (mqueue_flush_file()).
        if (notify?.pid === task.pid) planNotification(task.program("locks"), notify);
      }
    },

    descriptors: [{
      kind: "POSIX message queue",
      restores: ({ type, id }) =>
        type === fd_types.MQUEUE &&
        queues.some(({ entry }) => entry.files.some((file) => file.id === id)),
      // There the queue has its name for a moment.
      home: () => "seed",
      plan: ({ file }) => opened.get(file.id) as CallResult,
    }],
  };
}

/** @throws {StasisError} `bad-image` of a queue that no kernel has */
function checkEntry(
  { name, maxMessages, messageSize, messages, notify }: mqueue_entry,
  path: string,
  pids: ReadonlySet<number>,
): void {
  const wrong = !/^[^/]+$/s.test(name) || name === "." || name === ".." || maxMessages === 0 ||
    maxMessages > MAX_MESSAGES || messageSize === 0 || messageSize > MAX_SIZE ||
    messages.length > maxMessages ||
    messages.some(({ priority, text }) => priority >= PRIORITIES || text.length > messageSize) ||
    notify !== undefined && !(pids.has(notify.pid) && isPossible(notify));
  if (wrong) throw new StasisError("bad-image", `${path} has an impossible queue, ${name}`);
}

/** Whether the kernel takes such a request. */
function isPossible({ fd, how, signal = 0, socket, cookie }: mqueue_notify_entry): boolean {
  if (fd >= 0x8000_0000) return false;
  if (how === SIGEV.NONE) return true;
  if (how === SIGEV.SIGNAL) return signal <= SIGNALS;
  return how === SIGEV.THREAD && socket !== undefined && socket < 0x8000_0000 &&
    cookie?.length === COOKIE_SIZE;
}

/** Adds the call that has a task told of the next message. */
function planNotification(program: SyscallProgram, notify: mqueue_notify_entry): void {
  const { fd, how, signal = 0, value = 0n, socket, cookie } = notify;
  const isThread = how === SIGEV.THREAD;
  const event = program.data(
    mqSigevent.make(isThread ? { signal: socket ?? -1, how } : { value, signal, how }),
    "sigevent",
  );
  if (isThread) event.point(0, program.data(cookie as Uint8Array, "cookie"));
  program.call("mq_notify", fd, event);
}

/** Looks whether a queue is here, and reports what stands against its being used. */
function find(
  entry: mqueue_entry,
  rehearsal: boolean,
  context: LoadContext,
  note: RestoreSession["note"],
): PlannedQueue {
  const { name, inode, removed, maxMessages, messageSize } = entry;
  if (rehearsal) return { entry, name, waiting: undefined };
  using opened = open(name, context);
  if (removed === true) {
    // Somebody has made another one of its name.
    const free = opened === undefined ? name : `${name}.${inode}`;
    return { entry, name: free, waiting: undefined };
  }
  if (opened === undefined) return { entry, name, waiting: undefined };
  const state = queueState(opened.fd);
  const holders = new OutsideHolders();
  holders.look([], [`/${name}`]);
  const pid = holders.behind(`/${name}`).find((one) => one !== Deno.pid);
  const isOther = state.maxMessages !== maxMessages || state.messageSize !== messageSize;
  if (isOther || pid !== undefined) {
    context.problem({
      what: isOther
        ? `the POSIX message queue /${name} had room for ${maxMessages} messages of ${messageSize} bytes, and has for ` +
          `${state.maxMessages} of ${state.messageSize} now`
        : `process ${pid} has the POSIX message queue /${name} open`,
      hint: "end who uses it, or remove it (mq_unlink): it is made anew then",
    });
  }
  const isUsed = state.messages !== entry.messages.length || lastUsed(opened.fd) !== entry.lastUsed;
  // An empty queue in which nothing was is as good as an unused one.
  if (isUsed && state.messages + entry.messages.length > 0) {
    note(
      `the POSIX message queue /${name} has been used since the checkpoint: the ${entry.messages.length} messages ` +
        `of then are put back, and the ${state.messages} that are in it now are lost`,
    );
  }
  return { entry, name, waiting: state.messages };
}

/** Opens a queue here; undefined if there is none of the name, or it is reported. */
function open(name: string, context: LoadContext): OwnedDescriptor | undefined {
  const result = syscall(SYSCALLS.mq_open, cString(name), O.RDONLY | O.NONBLOCK, 0, 0);
  if (!isErrno(result)) return new OwnedDescriptor(Number(result));
  if (result === -BigInt(Errno.ENOENT)) return undefined;
  context.problem({ what: `POSIX message queues cannot be opened: ${errnoName(-result)}` });
  return undefined;
}

/**
 * Adds calls that lift the limit on the bytes of a user's queues, which is this process's and not the one that the tree
 * had (mqueue_get_inode() of `ipc/mqueue.c`): to none, or to the hard limit for who may not do that (CAP_SYS_RESOURCE).
 *
 * @returns adds the call that puts it back
 */
function planNoLimit(seed: SyscallProgram): () => void {
  const { soft, hard } = readLimits(Deno.pid)[RLIMIT_MSGQUEUE] as ResourceLimit;
  const set = (soft: bigint, hard: bigint): CallResult => {
    const limit = seed.data(new Uint8Array(BigUint64Array.of(soft, hard).buffer), `${soft}`);
    return seed.try("prlimit64", 0, RLIMIT_MSGQUEUE, limit, 0);
  };
  set(hard, hard);
  set(RLIM_INFINITY, RLIM_INFINITY);
  return () => void set(soft, hard);
}

/**
 * Adds calls to the seed's program that make a queue, or empty it, open its files and put the messages into it.
 *
 * @param opened gets the calls that open the files
 */
function planQueue(
  tree: TreePlanner,
  { entry, name, waiting }: PlannedQueue,
  opened: Map<number, CallResult>,
): void {
  const { seed } = tree;
  const { uid, gid, mode, maxMessages, messageSize, messages, removed } = entry;
  const fd = waiting === undefined
    ? seed.call(
      "mq_open",
      name,
      O.CREAT | O.EXCL | O.RDWR | O.NONBLOCK,
      0o600,
      seed.data(
        mqAttr.make({ maxMessages: BigInt(maxMessages), messageSize: BigInt(messageSize) }),
        `${maxMessages} messages of ${messageSize} bytes`,
      ),
    )
    : seed.call("mq_open", name, O.RDWR | O.NONBLOCK, 0, 0);
  for (const { id, flags } of entry.files) {
    opened.set(id, seed.call("mq_open", name, flags & (O.ACCMODE | O.NONBLOCK), 0, 0));
  }
  // At once: there may be others that had the same name.
  if (removed === true) seed.call("mq_unlink", name);
  else if (waiting === undefined) tree.outlives(fd, "mq_unlink", name);
  if (uid !== 0 || gid !== 0) seed.call("fchown", fd, uid, gid);
  seed.call("fchmod", fd, mode & 0o7777);
  if (waiting !== undefined && waiting > 0) {
    const text = seed.output(messageSize, "text");
    for (let index = 0; index < waiting; index++) {
      seed.call("mq_timedreceive", fd, text, messageSize, 0, 0);
    }
  }
  for (const { priority, text } of messages) {
    const data = seed.data(text as Uint8Array, `${text.length} bytes`);
    seed.call("mq_timedsend", fd, data, text.length, priority, 0);
  }
  seed.call("close", fd);
}
