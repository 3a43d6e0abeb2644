/**
 * What a restored program will not have, and how a user is told: each is a note of the checkpoint.
 *
 * @module
 */
import { addressOf, prctl } from "../../core/linux/libc_ffi.ts";
import {
  readAutogroupNice,
  readChildren,
  readChildrenOfThread,
  readResourceGroups,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import { StasisError } from "../../base/errors.ts";
import type {
  CheckpointSession,
  Collected,
  FrozenTask,
  FrozenTree,
  SurveyContext,
} from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { askConfinement } from "./confinement.ts";
import { PR } from "./prctl.ts";

const P_ALL = 0;
/** Options of waitid(2): look, and leave the report where it is. */
const PEEK = 1 | 0x0100_0000; // WNOHANG | WNOWAIT
const WSTOPPED = 2, WEXITED = 4, WALL = 0x4000_0000;
const ECHILD = -10n;
/** prctl(PR_SCHED_CORE): asks for the cookie, of one thread. */
const PR_SCHED_CORE_GET = 0, PIDTYPE_PID = 0;
/** In a wait status: a core was dumped (`WCOREFLAG`). */
const CORE_DUMPED = 0x80;

/** Finds what is not saved, and tells of it. One for each checkpoint. */
export class Unsaved {
  readonly #session: CheckpointSession;
  /** Who has live children, as the last survey saw it. */
  #parents: ReadonlySet<number> = new Set();
  /** The resource groups of each task, as the surveys of the running tree saw them. */
  readonly #groups = new Map<number, readonly string[]>();

  constructor(session: CheckpointSession) {
    this.#session = session;
  }

  /** Takes note of who has children and, while the tree runs, of what takes long to be read. */
  look({ tasks, frozen }: SurveyContext): void {
    if (!frozen) {
      for (const { pid } of tasks) {
        this.#groups.set(
          pid,
          unlessGone(() => readResourceGroups(pid), []),
        );
      }
      return;
    }
    this.#parents = new Set(tasks.map(({ stat: { ppid } }) => ppid));
  }

  /**
   * Adds calls that ask a task what only itself can tell: whether it traces others, and what it is shut out of.
   *
   * @throws {StasisError} `unsupported`, by what is returned, of a task that traces others
   */
  ask(task: FrozenTask, program: SyscallProgram): Collected {
    // Whoever has no children and yet something to wait for is a tracer. Its tracees in the tree were refused.
    const any = this.#parents.has(task.pid)
      ? undefined
      : program.try("waitid", P_ALL, 0, 0, WEXITED | WSTOPPED | WALL | PEEK, 0);
    const isConfined = askConfinement(task.proc.liveTid, program);
    return (reply) => {
      if (isConfined(reply)) {
        this.#session.note(
          `task ${task.pid} is shut out of files by a security module (Landlock, it seems): a restored one is not`,
        );
      }
      const waits = any !== undefined && reply.result(any) !== ECHILD;
      // For zombies, nearly always.
      if (waits && readChildren(task.pid).length === 0) throw refuseTracer(task.pid);
    };
  }

  /** Tells of the rest. */
  note(tree: FrozenTree): void {
    const { note } = this.#session;
    const own = readResourceGroups(Deno.pid);
    const groups = tree.tasks.map(({ pid }) => ({
      pid,
      groups: this.#groups.get(pid) ?? readResourceGroups(pid),
    }));
    for (const text of resourceGroupNotes(groups, own)) note(text);
    for (const text of this.#cookies(tree)) note(text);
    for (const text of this.#sessions(tree)) note(text);
    for (const text of endSignalNotes(tree)) note(text);
    for (const { pid, stat } of tree.zombies) {
      if ((stat.exitCode & 0x7f) !== 0 && (stat.exitCode & CORE_DUMPED) !== 0) {
        note(`task ${pid} has ended with a core dump: its parent will be told of the signal alone`);
      }
    }
  }

  #cookies({ tasks }: FrozenTree): string[] {
    const cookie = (tid: number): bigint | undefined => {
      const word = new BigUint64Array(1);
      const address = addressOf(word);
      const get = BigInt(PR_SCHED_CORE_GET);
      const result = prctl(PR.SCHED_CORE, get, BigInt(tid), BigInt(PIDTYPE_PID), address);
      return result < 0 ? undefined : word[0];
    };
    const own = cookie(0);
    // A kernel without core scheduling, or a machine without hyper-threads.
    if (own === undefined) return [];
    return tasks.flatMap(({ threads }) => threads).flatMap(({ tid }) => {
      const other = cookie(tid);
      if (other === undefined || other === own) return [];
      return [
        `thread ${tid} shares cores with others than this tool (PR_SCHED_CORE), which is lost`,
      ];
    });
  }

  #sessions({ tasks }: FrozenTree): string[] {
    const pids = new Set(tasks.map(({ pid }) => pid));
    const outside = new Map<number, number>();
    for (const { pid, proc } of tasks) {
      const { session } = proc.stat;
      if (!pids.has(session) && !outside.has(session)) outside.set(session, readAutogroupNice(pid));
    }
    return [...outside].flatMap(([session, nice]) =>
      nice === 0 ? [] : [
        `session ${session} has the nice value ${nice} (autogroup), which a restored one has not`,
      ]
    );
  }
}

/** A signal at the parent's end comes with the end of the thread that made the child: a restored one has the first. */
function endSignalNotes({ tasks }: FrozenTree): string[] {
  const byPid = new Map(tasks.map((task) => [task.pid, task]));
  return tasks.flatMap(({ pid, leader, proc: { stat: { ppid } } }) => {
    const parent = byPid.get(ppid);
    if (parent === undefined || (leader.core.threadCore.pdeathSig ?? 0) === 0) return [];
    const maker = parent.threads.find(({ tid }) =>
      tid !== parent.leader.tid && readChildrenOfThread(ppid, tid).includes(pid)
    );
    return maker === undefined ? [] : [
      `task ${pid} wants a signal at the end of thread ${maker.tid} of task ${ppid}, which made it: ` +
      "a restored one gets it at the end of the first thread",
    ];
  });
}

function refuseTracer(pid: number): StasisError {
  return new StasisError(
    "unsupported",
    `task ${pid} traces another one outside of the tree (ptrace), which cannot be saved`,
    { pid, hint: "have it detach first: it is a debugger or the like" },
  );
}

/**
 * Says who is in other groups for the use of caches and memory bandwidth than the tool: one sentence for all that are
 * in the same ones.
 *
 * @param own the tool's
 */
export function resourceGroupNotes(
  tasks: readonly { readonly pid: number; readonly groups: readonly string[] }[],
  own: readonly string[],
): string[] {
  const members = new Map<string, number[]>();
  for (const { pid, groups } of tasks) {
    const other = groups.filter((group) => !own.includes(group)).join(", ");
    if (other === "") continue;
    const pids = members.get(other);
    if (pids === undefined) members.set(other, [pid]);
    else pids.push(pid);
  }
  return [...members].map(([groups, [pid, ...more]]) => {
    const who = more.length === 0 ? `task ${pid} is` : `task ${pid} and ${more.length} more are`;
    return `${who} in the resource group ${groups}, and will be in that of whoever restores`;
  });
}
