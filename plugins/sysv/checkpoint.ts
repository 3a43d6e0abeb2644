/**
 * The checkpoint hooks.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import {
  isExternalSysv,
  mayHaveUsed,
  outsider,
  sysvExternal,
  type SysvKind,
  sysvName,
  sysvOwner,
  type SysvTree,
  sysvTree,
  unknownSysv,
} from "../../core/checkpoint/sysv_owners.ts";
import {
  readQueues,
  readSemaphores,
  type SysvObject,
  type SysvQueue,
  type SysvSemaphores,
} from "../../core/linux/procfs/mod.ts";
import {
  peekMessages,
  queueLimit,
  semaphoreUsers,
  semaphoreValues,
  semaphoreWaiters,
} from "../../core/linux/sysv_ipc.ts";
import type { CheckpointHooks, CheckpointSession, SurveyContext } from "../../core/plugin.ts";
import { sysv_use_entry_kind_type } from "../../images/gen/sysv_ipc_pb.ts";
import { IPC_NAMESPACE, IPCNS_MSG, IPCNS_SEM, SYSV_USE } from "../../images/kinds/sysv_ipc.ts";
import { encodeQueued } from "../../images/sysv_messages.ts";
import { Adjustments, type AskedSet } from "./adjustments.ts";
import { mayBeHeld } from "./undo.ts";

/** An object with the processes that the kernel has noted for it. */
interface Used<T extends SysvObject> {
  readonly object: T;
  readonly users: readonly number[];
}

/** What a survey has found. */
interface Found {
  readonly semaphores: readonly Used<SysvSemaphores>[];
  readonly queues: readonly Used<SysvQueue>[];
  /** All sets that may be held with SEM_UNDO, for a task may hold a stranger's, too. */
  readonly asked: readonly AskedSet[];
  readonly pids: ReadonlySet<number>;
  /** What is said of those of which nobody knows whose they are. */
  readonly notes: readonly string[];
}

/** Makes the hooks for one checkpoint. */
export function checkpointSysv(session: CheckpointSession): CheckpointHooks {
  const { options, writer } = session;
  const adjustments = new Adjustments(session.note);
  let found: Found;

  function look(context: SurveyContext): Found {
    const sets = readSemaphores(), queues = readQueues();
    if (sets.length === 0 && queues.length === 0) {
      return { semaphores: [], queues: [], asked: [], pids: new Set(), notes: [] };
    }
    const tree = sysvTree(context.tasks);
    const notes: string[] = [];
    const own = <T extends SysvObject>(kind: SysvKind, all: readonly Used<T>[]): Used<T>[] =>
      all.filter((one) =>
        !isExternalSysv(options, kind, one.object.id) && isOwn(kind, one, tree, context, notes)
      );
    const semaphores = own("sem", sets.map((object) => ({ object, users: usersOf(object) })));
    if (context.frozen) { for (const { object } of semaphores) refuseWaiters(object, context); }
    const ids = new Set(semaphores.map(({ object }) => object.id));
    return {
      semaphores,
      queues: own(
        "msg",
        queues.map((object) => ({ object, users: [object.sender, object.receiver] })),
      ),
      asked: sets.map(({ id, count, used }) => ({ id, count, used, isOwn: ids.has(id) }))
        .filter((set) => mayBeHeld(set, tree)),
      pids: tree.pids,
      notes,
    };
  }

  /** Who of the tree has used an object. */
  const inside = (users: readonly number[]): number[] =>
    users.map((pid) => found.pids.has(pid) ? pid : 0);

  return {
    survey(context) {
      found = look(context);
    },

    collectThread: (thread, program) => adjustments.ask(thread, found.asked, program),

    dumpTree() {
      for (const text of found.notes) session.note(text);
      const undo = Map.groupBy(adjustments.find(), ({ set }) => set);
      for (const { object, users } of found.semaphores) {
        const { id, count } = object;
        const values = new Uint16Array(Math.ceil(count / 4) * 4);
        values.set(semaphoreValues(id, count));
        writer.append(
          IPCNS_SEM,
          IPC_NAMESPACE,
          { desc: describe(object), nsems: count },
          new Uint8Array(values.buffer),
        );
        writer.append(SYSV_USE, null, {
          kind: sysv_use_entry_kind_type.SEM,
          id,
          users: inside(users),
          undo: undo.get(id),
        });
      }
      for (const { object, users } of found.queues) {
        const { id, messages, bytes } = object;
        writer.append(
          IPCNS_MSG,
          IPC_NAMESPACE,
          { desc: describe(object), qbytes: queueLimit(id), qnum: messages },
          encodeQueued(peekMessages(id, messages, bytes)),
        );
        writer.append(SYSV_USE, null, {
          kind: sysv_use_entry_kind_type.MSG,
          id,
          users: inside(users),
        });
      }
      if (found.semaphores.length > 0 || found.queues.length > 0) session.requirePlugin();
    },
  };
}

/** The fields that the image has of all kinds. */
function describe({ key, uid, gid, cuid, cgid, mode, id }: SysvObject) {
  return { key, uid, gid, cuid, cgid, mode, id };
}

/** Whether an object is the tree's; reports one that others use, too. */
function isOwn<T extends SysvObject>(
  kind: SysvKind,
  { object, users }: Used<T>,
  tree: SysvTree,
  context: SurveyContext,
  notes: string[],
): boolean {
  const last = Math.max(object.changed, object.used);
  const owner = sysvOwner(object, users, false, tree, (pid) => mayHaveUsed(pid, last));
  if (owner.whose === "tree" || owner.whose === "stranger") return owner.whose === "tree";
  if (owner.whose === "unknown") {
    notes.push(unknownSysv(kind, object, owner.outside));
    return false;
  }
  const who = outsider(owner.outside[0] as number);
  context.problem({
    pid: users.find((one) => tree.pids.has(one)),
    what: `${who} uses ${sysvName(kind, object)}, too`,
    hint: `end that first, or leave it to whoever restores (--external ${
      sysvExternal(kind, object.id)
    })`,
  });
  return true;
}

/** Reports a set that somebody outside waits for. */
function refuseWaiters(set: SysvSemaphores, context: SurveyContext): void {
  const waiters = waitersOf(set);
  if (waiters === 0) return;
  context.problem({
    pid: context.root.pid,
    what: `${waiters} ${waiters === 1 ? "thread" : "threads"} outside of the tree ` +
      `${waiters === 1 ? "waits" : "wait"} for ${sysvName("sem", set)}`,
    hint: `end that first, or leave it to whoever restores (--external ${
      sysvExternal("sem", set.id)
    })`,
  });
}

/** How many threads outside wait for a set; the tree's own do not while they stand still. */
function waitersOf({ id, count }: SysvSemaphores): number {
  try {
    return semaphoreWaiters(id, count);
  } catch (error) {
    // Removed meanwhile, which is found out when it is saved.
    if (error instanceof StasisError) return 0;
    throw error;
  }
}

/** Who last changed each semaphore of a set; nobody where that may not be known. */
function usersOf({ id, count }: SysvSemaphores): readonly number[] {
  try {
    return semaphoreUsers(id, count);
  } catch (error) {
    // A stranger's, removed meanwhile or not ours to look at.
    if (error instanceof StasisError) return [];
    throw error;
  }
}
