/**
 * The restore hooks.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { mayHaveUsed, type SysvKind, sysvName } from "../../core/checkpoint/sysv_owners.ts";
import {
  readKernelSetting,
  readQueues,
  readSemaphores,
  type SysvObject,
} from "../../core/linux/procfs/mod.ts";
import {
  encodeMessageBuffer,
  encodeOperations,
  IPC,
  MSG,
  msqidDs,
  peekMessages,
  SEM,
  SEMAPHORE_MAX,
  semaphoreUsers,
  type SysvMessage,
} from "../../core/linux/sysv_ipc.ts";
import type {
  LoadContext,
  RestoreHooks,
  RestoreSession,
  TaskPlanner,
  TreePlanner,
} from "../../core/plugin.ts";
import { isSameBoot, planSysv, planSysvOwner, SysvHere } from "../../core/restore/sysv_objects.ts";
import { MemorySource } from "../../images/byte_source.ts";
import {
  type ipc_desc_entry,
  type sysv_undo_entry,
  sysv_use_entry_kind_type,
} from "../../images/gen/sysv_ipc_pb.ts";
import { IPC_NAMESPACE, IPCNS_MSG, IPCNS_SEM, SYSV_USE } from "../../images/kinds/sysv_ipc.ts";
import { decodeQueued, type QueuedMessage } from "../../images/sysv_messages.ts";
import { uniqueById } from "../../images/unique.ts";
import { adjust, LEAST_ADJUSTMENT } from "./undo.ts";

const MAX_ID = 0x7fff_ffff;
/** SEMMSL as the kernel has it at most, and the greatest type of a message. */
const MAX_SEMAPHORES = 65536, MAX_TYPE = 0x7fff_ffff_ffff_ffffn;

/** A set to be restored. */
interface SavedSet {
  readonly desc: ipc_desc_entry;
  readonly values: readonly number[];
  readonly users: readonly number[];
  readonly undo: readonly sysv_undo_entry[];
  /** Whether it is there already. */
  readonly isThere: boolean;
}

/** A queue to be restored. */
interface SavedQueue {
  readonly desc: ipc_desc_entry;
  readonly limit: number;
  readonly messages: readonly QueuedMessage[];
  readonly sender: number;
  /** How many messages are in it already; undefined where it is not there. */
  readonly waiting: number | undefined;
}

/** Makes the hooks for one restore. */
export function restoreSysv(session: RestoreSession): RestoreHooks {
  const { images, rehearsal, note } = session;
  let sets: readonly SavedSet[] = [];
  let queues: readonly SavedQueue[] = [];

  /** Looks for an object here, and reports what stands against its being used. */
  function find<T extends SysvObject>(
    kind: SysvKind,
    desc: ipc_desc_entry,
    here: SysvHere<T>,
    usersOf: (object: T) => readonly number[],
    context: LoadContext,
  ): T | undefined {
    const object = here.find(desc, context);
    if (object === undefined) return undefined;
    const last = Math.max(object.changed, object.used);
    const pid = usersOf(object).find((one) => one !== 0 && mayHaveUsed(one, last));
    if (pid !== undefined) {
      context.problem({
        what: `process ${pid} uses ${sysvName(kind, desc)}`,
        hint: "end it, or remove them (ipcrm): they are made anew then",
      });
    }
    return object;
  }

  function loadSets(context: LoadContext, uses: ReadonlyMap<string, Use>): SavedSet[] {
    if (!images.has(IPCNS_SEM, IPC_NAMESPACE)) return [];
    const path = images.pathOf(IPCNS_SEM, IPC_NAMESPACE);
    const entries = images.readEntries(IPCNS_SEM, IPC_NAMESPACE);
    uniqueById(entries, ({ message }) => message.desc?.id ?? 0, path, "set");
    const here = new SysvHere("sem", rehearsal ? [] : readSemaphores(), isSameBoot(images));
    return entries.map(({ message: { nsems, desc: saved }, extra }) => {
      const desc = saved as ipc_desc_entry;
      const words = new Uint16Array((extra ?? new Uint8Array()).slice().buffer);
      const values = [...words.subarray(0, nsems)];
      const wrong = desc.id > MAX_ID || nsems === 0 || nsems > MAX_SEMAPHORES ||
        values.some((value) => value > SEMAPHORE_MAX);
      if (wrong) throw new StasisError("bad-image", `${path} has an impossible set, ${desc.id}`);
      const { users = [], undo = [] } = uses.get(`${sysv_use_entry_kind_type.SEM} ${desc.id}`) ??
        {};
      for (const { num, adjustment } of undo) {
        if (num < nsems && adjustment >= LEAST_ADJUSTMENT && adjustment <= SEMAPHORE_MAX) continue;
        throw new StasisError("bad-image", `the images adjust what the set ${desc.id} has not`);
      }
      const object = find(
        "sem",
        desc,
        here,
        ({ id, count }) => semaphoreUsers(id, count),
        context,
      );
      if (object !== undefined && object.count !== nsems) {
        context.problem({
          what: `${sysvName("sem", desc)} were ${nsems} and are ${object.count} now`,
          hint: "remove them if nobody needs them (ipcrm): they are made anew then",
        });
      }
      return { desc, values, users, undo, isThere: object !== undefined };
    });
  }

  function loadQueues(context: LoadContext, uses: ReadonlyMap<string, Use>): SavedQueue[] {
    if (!images.has(IPCNS_MSG, IPC_NAMESPACE)) return [];
    const path = images.pathOf(IPCNS_MSG, IPC_NAMESPACE);
    const entries = images.readEntries(IPCNS_MSG, IPC_NAMESPACE);
    uniqueById(entries, ({ message }) => message.desc?.id ?? 0, path, "queue");
    const here = new SysvHere("msg", rehearsal ? [] : readQueues(), isSameBoot(images));
    return entries.map(({ message: { qbytes, qnum, desc: saved }, extra }) => {
      const desc = saved as ipc_desc_entry;
      const messages = decodeQueued(new MemorySource(extra ?? new Uint8Array()), qnum)?.messages ??
        [];
      if (desc.id > MAX_ID || messages.some(({ type }) => type === 0n || type > MAX_TYPE)) {
        throw new StasisError("bad-image", `${path} has an impossible queue, ${desc.id}`);
      }
      const object = find(
        "msg",
        desc,
        here,
        ({ sender, receiver }) => [sender, receiver],
        context,
      );
      if (
        object !== undefined &&
        !isSame(messages, peekMessages(desc.id, object.messages, object.bytes))
      ) {
        note(
          `${
            sysvName("msg", desc)
          } has been used since the checkpoint: the ${messages.length} messages of then ` +
            `are put back, and the ${object.messages} that are in it now are lost`,
        );
      }
      const [sender = 0] = uses.get(`${sysv_use_entry_kind_type.MSG} ${desc.id}`)?.users ?? [];
      return { desc, limit: qbytes, messages, sender, waiting: object?.messages };
    });
  }

  return {
    load(context) {
      const uses = new Map(
        (images.has(SYSV_USE, null) ? images.readList(SYSV_USE, null) : []).map((use) => [
          `${use.kind} ${use.id}`,
          use,
        ]),
      );
      sets = loadSets(context, uses);
      queues = loadQueues(context, uses);
    },

    planTree(tree) {
      const byPid = new Map(tree.tasks.map((task) => [task.pid, task]));
      const [root] = tree.tasks;
      if (root === undefined) return;
      const taskOf = (pid: number): TaskPlanner => byPid.get(pid) ?? root;
      for (const set of sets) planSet(tree, set, taskOf);
      for (const queue of queues) planQueue(tree, queue, taskOf(queue.sender), root);
    },
  };
}

/** Whether a queue holds the same messages. */
function isSame(saved: readonly QueuedMessage[], there: readonly SysvMessage[]): boolean {
  return saved.length === there.length && saved.every(({ type, text }, index) => {
    const other = there[index];
    return other?.type === type && other.text.length === text.length &&
      text.every((byte, at) => byte === other.text[at]);
  });
}

/** What the images say of an object's use. */
interface Use {
  readonly users: readonly number[];
  readonly undo: readonly sysv_undo_entry[];
}

function planSet(
  tree: TreePlanner,
  { desc, values, users, undo, isThere }: SavedSet,
  taskOf: (pid: number) => TaskPlanner,
): void {
  const { id } = desc;
  if (isThere) planSysvOwner(tree, "sem", desc);
  else planSysv(tree, "sem", desc, { size: values.length });
  // Each by the task that changed it last, whose pid the kernel keeps. It forgets all adjustments then.
  values.forEach((value, num) => {
    taskOf(users[num] ?? 0).program("open").call("semctl", id, num, SEM.SETVAL, value);
  });
  for (const { pid, num, adjustment } of undo) {
    const program = taskOf(pid).program("task");
    const operations = adjust(num, values[num] as number, adjustment);
    program.call("semop", id, program.data(encodeOperations(operations)), operations.length);
  }
}

function planQueue(
  tree: TreePlanner,
  { desc, limit, messages, waiting }: SavedQueue,
  sender: TaskPlanner,
  root: TaskPlanner,
): void {
  const { id } = desc;
  const { seed } = tree;
  if (waiting === undefined) planSysv(tree, "msg", desc);
  else {
    // Of no size, so that each is cut and gone.
    const flags = IPC.NOWAIT | MSG.NOERROR;
    const type = seed.data(new Uint8Array(8), "type");
    for (let index = 0; index < waiting; index++) seed.call("msgrcv", id, type, 0, 0, flags);
  }
  const bytes = messages.reduce((sum, { text }) => sum + text.length, 0);
  const usual = Number(readKernelSetting("msgmnb") ?? 0);
  const setLimit = (program: TreePlanner["seed"], qbytes: number): void => {
    const fields = { uid: desc.uid, gid: desc.gid, mode: desc.mode & 0o777 };
    const set = program.data(msqidDs.make({ ...fields, qbytes: BigInt(qbytes) }));
    program.call("msgctl", id, IPC.SET, set);
  };
  // It may have got more than its limit allows by now.
  if (waiting !== undefined || limit !== usual) setLimit(seed, Math.max(limit, bytes));
  const program = sender.program("open");
  for (const message of messages) {
    const buffer = program.data(encodeMessageBuffer(message), `type ${message.type}`);
    program.call("msgsnd", id, buffer, message.text.length, IPC.NOWAIT);
  }
  if (limit < bytes) setLimit(root.program("share"), limit);
}
