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
} from "../../core/linux/sysv_ipc.ts";
import type { CheckpointHooks, CheckpointSession, SurveyContext } from "../../core/plugin.ts";
import { sysv_use_entry_kind_type } from "../../images/gen/sysv_ipc_pb.ts";
import { IPC_NAMESPACE, IPCNS_MSG, IPCNS_SEM, SYSV_USE } from "../../images/kinds/sysv_ipc.ts";
import { encodeQueued } from "../../images/sysv_messages.ts";
import { Adjustments, type AskedSet } from "./adjustments.ts";

/** An object with the processes that the kernel has noted for it. */
interface Used<T extends SysvObject> {
  readonly object: T;
  readonly users: readonly number[];
}

/** What a survey has found. */
interface Found {
  readonly semaphores: readonly Used<SysvSemaphores>[];
  readonly queues: readonly Used<SysvQueue>[];
  /** All sets that there are, for a task may hold a stranger's, too. */
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
    const ids = new Set(semaphores.map(({ object }) => object.id));
    return {
      semaphores,
      queues: own(
        "msg",
        queues.map((object) => ({ object, users: [object.sender, object.receiver] })),
      ),
      asked: sets.map(({ id, count }) => ({ id, count, isOwn: ids.has(id) })),
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
      const undo = adjustments.find();
      const saved = new Set(found.semaphores.map(({ object }) => object.id));
      for (const { pid, set } of undo) {
        if (!saved.has(set)) throw refuseForeign(pid, set);
      }
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
          undo: undo.filter(({ set }) => set === id),
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

function refuseForeign(pid: number, set: number): StasisError {
  return new StasisError(
    "unsupported",
    `task ${pid} holds the System V semaphores ${set} of others with SEM_UNDO, which cannot be saved`,
    { pid, hint: "try again when it has given them back" },
  );
}
