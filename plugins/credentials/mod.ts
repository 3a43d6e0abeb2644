/**
 * Credentials of every thread (the kernel has them by thread): ids, groups, capability sets, securebits,
 * no_new_privs; and what a change of credentials resets: the dumpable flag of the process and the signal
 * for the parent's death.
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | ids, groups, capabilities, no_new_privs | /proc/PID/task/TID/status | `thread_core.creds` | see `plan.ts` |
 * | securebits | injected prctl(PR_GET_SECUREBITS) | the same | prctl(PR_SET_SECUREBITS) |
 * | signal at the parent's death | injected prctl(PR_GET_PDEATHSIG) | `thread_core.pdeath_sig` | prctl(PR_SET_PDEATHSIG), in the late stage |
 * | dumpable | the memory plugin | `mm.dumpable` | prctl(PR_SET_DUMPABLE), in the late stage |
 *
 * commit_creds() of `kernel/cred.c` clears the last two, so they come after. The parent of a restored root is
 * this process; where that ends at once (`detached`), the root's signal at its parent's death is not set, since
 * it would kill what was just restored.
 * A `dumpable` of 2 (as fs.suid_dumpable gives it) cannot be set by prctl(2) and becomes 0, the stricter one.
 *
 * Labels of a security module (SELinux, AppArmor) other than the tool's own are refused, see `labels.ts`, and so
 * are keyrings of a thread or process. Another session keyring is noted.
 *
 * @module
 */
import type { creds_entry, creds_entrySchema } from "../../images/gen/credentials_pb.ts";
import { CREDS } from "../../images/kinds/credentials.ts";
import { MM } from "../../images/kinds/memory.ts";
import { present } from "../../images/present.ts";
import { splitWords } from "../../images/words.ts";
import { StasisError } from "../../base/errors.ts";
import { ThreadTexts } from "../../core/linux/procfs/thread_texts.ts";
import { signalName } from "../../core/linux/signals.ts";
import { parseStatus, type TaskStatus } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type FrozenThread,
  type MessageDraft,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
  type TaskPlanner,
  type ThreadPlanner,
} from "../../core/plugin.ts";
import { SharedCalls } from "../../core/remote/shared_calls.ts";
import { askForKeyrings } from "./keyrings.ts";
import { surveyLabels } from "./labels.ts";
import { capabilityNames } from "./capability.ts";
import { SessionMarker } from "./session_keyring.ts";
import { credentialProblem, lostFromBounding, planCredentials } from "./plan.ts";

/** prctl(2), from `include/uapi/linux/prctl.h`. */
const PR = {
  SET_PDEATHSIG: 1,
  GET_PDEATHSIG: 2,
  SET_DUMPABLE: 4,
  GET_SECUREBITS: 27,
} as const;

/** The plugin. */
export const credentials: Plugin = definePlugin({
  name: "credentials",
  description: "ids, groups, capabilities, securebits of every thread",
  checkpoint: dumpCredentials,
  restore: restoreCredentials,
});

/* ------------------------------------------------------------------ checkpoint */

function dumpCredentials(session: CheckpointSession): CheckpointHooks {
  const statuses = new ThreadTexts("status");
  /** Nearly always all threads have the credentials of the one before: those are parsed and kept once. */
  const known = new Map<string, Credentials>();
  const credentialsOf = (text: string, secbits: number): Credentials => {
    const lines = CREDENTIAL_LINES.map((pattern) => pattern.exec(text)?.[0]).join("");
    const key = `${secbits} ${lines}`;
    const found = known.get(key) ?? encodeCredentials(parseStatus(text), secbits);
    known.set(key, found);
    return found;
  };
  /** Those that are not 0, by tid. */
  const securebits = new Map<number, number>();
  /** Threads that do not see the mark in the session keyring. */
  const unmarked = new Set<number>();
  let marker: SessionMarker | undefined;
  /** The processes of which it is said already. */
  const noted = new Set<number>();
  const noteKeyring = ({ tid, task: { pid } }: FrozenThread): void => {
    if (noted.has(pid)) return;
    noted.add(pid);
    session.note(
      `thread ${tid} of task ${pid} has another session keyring than this tool: a restored one has that of ` +
        "the tool that restores it, and the keys in its own are lost",
    );
  };
  return {
    reads: { ofThreads: { status: 2048 } },
    survey: (tree) => surveyLabels(tree, Deno.pid),
    freezeThreads(_, undo) {
      marker = SessionMarker.make(undo);
    },
    collectThreads(program) {
      const bits = program.call("prctl", PR.GET_SECUREBITS, 0, 0, 0, 0);
      const signal = program.output(4, "pdeath_sig");
      program.call("prctl", PR.GET_PDEATHSIG, signal, 0, 0, 0);
      const keyrings = askForKeyrings(program);
      const isUnmarked = marker?.ask(program);
      return (thread, reply) => {
        keyrings(thread, reply);
        const { tid, core: { threadCore } } = thread;
        const secbits = Number(reply.result(bits));
        if (secbits !== 0) securebits.set(tid, secbits);
        const pdeathSig = reply.output(signal)[0] as number;
        if (pdeathSig !== 0) threadCore.pdeathSig = pdeathSig;
        if (isUnmarked?.(reply) === true) unmarked.add(tid);
      };
    },
    dumpTree({ tasks }) {
      const threads = tasks.flatMap(({ threads }) => threads);
      statuses.read(threads.map(({ tracee }) => tracee), (text, index) => {
        const thread = threads[index] as FrozenThread;
        const { tid } = thread;
        const creds = credentialsOf(text, securebits.get(tid) ?? 0);
        thread.core.threadCore.creds = creds;
        if (unmarked.has(tid) && marker?.tellsOf(creds.uid ?? 0) === true) noteKeyring(thread);
      });
    },
  };
}

/** A thread's credentials in the image's form. */
type Credentials = MessageDraft<typeof creds_entrySchema>;

/** The lines of a `status` file that {@link encodeCredentials} looks at. */
const CREDENTIAL_LINES = [/^Uid:.*\nGid:.*\n/m, /^Groups:.*\n/m, /^Cap[^]*^NoNewPrivs:.*\n/m];

/** The image's form of what `status` says. */
export function encodeCredentials(status: TaskStatus, secbits: number): Credentials {
  const { uids, gids, caps } = status;
  return {
    uid: uids[0],
    euid: uids[1],
    suid: uids[2],
    fsuid: uids[3],
    gid: gids[0],
    egid: gids[1],
    sgid: gids[2],
    fsgid: gids[3],
    groups: [...status.groups],
    capInh: splitWords(caps.inheritable),
    capPrm: splitWords(caps.permitted),
    capEff: splitWords(caps.effective),
    capBnd: splitWords(caps.bounding),
    capAmb: splitWords(caps.ambient),
    secbits,
    noNewPrivs: status.noNewPrivs ? 1 : undefined,
  };
}

/* --------------------------------------------------------------------- restore */

function restoreCredentials(session: RestoreSession): RestoreHooks {
  const planned = new SharedCalls();
  return {
    planTask: (task) => planDumpable(task, session),
    planThread: (thread) => planThread(thread, session, planned),
  };
}

/** CRIU before 2.0 had one image of credentials a task. */
function credentialsOf(thread: ThreadPlanner, session: RestoreSession): creds_entry | undefined {
  const { pid } = thread.task;
  const creds = thread.core.threadCore?.creds;
  if (creds !== undefined) return creds;
  return session.images.has(CREDS, pid) ? session.images.read(CREDS, pid) : undefined;
}

function planThread(
  thread: ThreadPlanner,
  session: RestoreSession,
  planned: SharedCalls,
): void {
  const { tid, task: { pid } } = thread;
  const own = session.machine.startPrivileges;
  const creds = credentialsOf(thread, session);
  if (creds === undefined) {
    throw new StasisError("bad-image", `the images have no credentials of thread ${tid}`, { pid });
  }
  refuseLabel(creds, pid);
  const reason = credentialProblem(creds, own);
  if (reason !== undefined) {
    throw new StasisError("no-privilege", `thread ${tid} of task ${pid}: ${reason}`, {
      pid,
      hint: "restore with the privileges that the program had",
    });
  }
  const lost = lostFromBounding(creds, own);
  if (lost !== 0n && thread.task.pid === tid) {
    session.note(
      `task ${pid} could get capabilities that this process cannot give, and will not: ${
        capabilityNames(lost)
      }`,
    );
  }
  planned.add(thread.program("credentials"), creds, (calls) => planCredentials(calls, creds, own));
  planDeathSignal(thread, session);
}

function refuseLabel({ lsmProfile, lsmSockcreate }: creds_entry, pid: number): void {
  const label = lsmProfile || lsmSockcreate;
  if (!label) return;
  const what = `task ${pid} had the security label "${label}", which cannot be restored`;
  throw new StasisError("unsupported", what, { pid });
}

function planDeathSignal(thread: ThreadPlanner, session: RestoreSession): void {
  const signal = thread.core.threadCore?.pdeathSig ?? 0;
  if (signal === 0) return;
  const { task } = thread;
  if (session.options.detached === true && task.pid === task.tree.tasks[0]?.pid) {
    const what = `thread ${thread.tid} wanted ${signalName(signal)} at the end of its parent`;
    session.note(
      `${what}: it is not set, since its parent is this process now, which ends at once`,
    );
    return;
  }
  thread.program("late").call("prctl", PR.SET_PDEATHSIG, signal, 0, 0, 0);
}

function planDumpable(task: TaskPlanner, session: RestoreSession): void {
  if (!session.images.has(MM, task.pid)) return;
  const dumpable = present(session.images.read(MM, task.pid), "dumpable");
  if (dumpable === undefined) return;
  task.program("late").call("prctl", PR.SET_DUMPABLE, dumpable === 1 ? 1 : 0, 0, 0, 0);
}
