/**
 * The checkpoint hooks.
 *
 * @module
 */
import { factsOf, findFile, linkText } from "../../core/checkpoint/file_location.ts";
import { type Problem, StasisError } from "../../base/errors.ts";
import { readTaskFileLink } from "../../core/linux/long_link.ts";
import { PR } from "../../core/linux/mman.ts";
import { parseFdLink, readAuxv, statTaskLink, unlessGone } from "../../core/linux/procfs/mod.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  FrozenTask,
  OperationOptions,
  SurveyContext,
} from "../../core/plugin.ts";
import { VMA_AREA_GUARD } from "../../images/flags.ts";
import { MM } from "../../images/kinds/memory.ts";
import { askForContexts, awaitRequests } from "./aio_checkpoint.ts";
import { isRing, requestsFor } from "./aio_ring.ts";
import { mappingDumpers } from "./dumpers.ts";
import { executableProblem } from "./executable.ts";
import type { Task } from "../../core/checkpoint/task.ts";
import { AheadCopies } from "./ahead_copies.ts";
import { MappedFiles } from "./file_check.ts";
import { MM_EXTRA } from "../../images/kinds/mm_extra.ts";
import { memfdDumper } from "./memfd.ts";
import { askLockFuture } from "./lock_future.ts";
import { mmBounds, savedAuxv } from "./mm_fields.ts";
import { findPages, type TaskPages } from "./pages.ts";
import { Segments } from "./segments.ts";
import { SharedObjects } from "./shared_objects.ts";
import { parentTaskRuns } from "./task_runs.ts";
import { extraOf, unknownFlags, type VmaImage } from "./vma_image.ts";
import { type WriteLater, writePages } from "./write_pages.ts";

const O_RDONLY = 0;

/** What only the task itself can tell. */
interface Told {
  readonly brk: bigint;
  readonly dumpable: number;
  readonly thpDisabled: boolean;
  /** What `mm-extra-PID.img` has of it. */
  readonly extra: {
    readonly mdwe?: number;
    readonly lockFuture?: boolean;
    readonly lockFutureOnFault?: boolean;
    readonly merge?: boolean;
    readonly thpDisableFlags?: number;
  };
}

/** Makes the hooks for one checkpoint. */
export function checkpointMemory(session: CheckpointSession): CheckpointHooks {
  return checkpointWith(session, (segments, tree) => segments.survey(tree));
}

/** The same without System V shared memory that the tree has not attached: it lies outside of the tasks. */
export function checkpointOwnMemory(session: CheckpointSession): CheckpointHooks {
  return checkpointWith(session, () => {});
}

function checkpointWith(
  session: CheckpointSession,
  surveySegments: (segments: Segments, tree: SurveyContext) => void,
): CheckpointHooks {
  const files = new MappedFiles(session.options);
  const shared = new SharedObjects(session);
  const segments = new Segments(session);
  const told = new Map<number, Told>();
  const found = new Map<number, TaskPages>();
  const pagesOf = (task: FrozenTask): TaskPages => {
    let pages = found.get(task.pid);
    if (pages === undefined) found.set(task.pid, pages = findPages(task));
    return pages;
  };
  const ownsMemory = (task: FrozenTask): boolean => task.memoryOwner === task.pid;
  let writeLater: WriteLater | undefined;
  const copies = new AheadCopies(session);

  return {
    reads: { ofTasks: { exe: "link", auxv: 1024 } },
    mappings: [...mappingDumpers(session, files, shared), segments.dumper],
    descriptors: [memfdDumper(shared)],

    async survey(tree) {
      if (tree.frozen) await awaitRequests(tree.tasks, session);
      files.forget();
      surveySegments(segments, tree);
      for (const task of tree.tasks) surveyExecutable(task, tree, session.options);
      if (tree.frozen || session.parent === undefined) return;
      // While the tree runs: it is remembered for the moment in which that stands still.
      for (const { pid } of tree.tasks) parentTaskRuns(session.parent.images, pid);
    },

    copyAhead: (ahead) => copies.make(ahead),

    collectTask(task, program) {
      if (!ownsMemory(task)) return;
      const brk = program.try("brk", 0);
      const dumpable = program.try("prctl", PR.GET_DUMPABLE, 0, 0, 0, 0);
      const thp = program.try("prctl", PR.GET_THP_DISABLE, 0, 0, 0, 0);
      const mdwe = program.try("prctl", PR.GET_MDWE, 0, 0, 0, 0);
      const merge = program.try("prctl", PR.GET_MEMORY_MERGE, 0, 0, 0, 0);
      const lockFuture = askLockFuture(program, task.pid);
      const takeContexts = askForContexts(task, program);
      return (reply) => {
        takeContexts(reply);
        told.set(task.pid, {
          brk: reply.result(brk),
          dumpable: Number(reply.result(dumpable)),
          thpDisabled: reply.result(thp) > 0n,
          extra: {
            mdwe: reply.result(mdwe) > 0n ? Number(reply.result(mdwe)) : undefined,
            merge: reply.result(merge) > 0n || undefined,
            ...lockFuture(reply),
            // The result is the flags, with bit 0 for "disabled".
            thpDisableFlags: reply.result(thp) > 1n ? Number(reply.result(thp)) & ~1 : undefined,
          },
        });
      };
    },

    dumpTask(task) {
      if (!ownsMemory(task)) {
        // CRIU would give it a copy.
        session.requirePlugin();
        return;
      }
      const { brk, dumpable, thpDisabled, extra: taskExtra } = told.get(task.pid) as Told;
      const vmas: VmaImage[] = [];
      const extras = [];
      const unknown = new Set<string>();
      for (const vma of task.proc.vmas) {
        // The kernel makes it anew where a probe needs it.
        if (vma.name === "[uprobes]") continue;
        vmas.push(session.mappingDumper(vma, task.proc).dump(vma, task));
        for (const code of unknownFlags(vma)) unknown.add(code);
        const extra = extraOf(vma);
        if (extra === undefined) continue;
        extras.push(extra);
        if (extra.sealed) session.requirePlugin();
      }
      if (taskExtra.mdwe !== undefined) session.requirePlugin();
      if (unknown.size > 0) {
        session.note(
          `mappings of task ${task.pid} have flags that are not known here, and may be lost: ` +
            [...unknown].join(", "),
        );
      }
      for (const { start, size } of pagesOf(task).guards) vmas.push(guardImage(start, size));
      session.writer.write(MM, task.pid, {
        ...mmBounds(task.proc.liveStat),
        mmBrk: brk,
        exeFileId: saveExecutable(task.proc, session, shared, files),
        ...savedAuxv(readAuxv(task.proc.liveTid)),
        vmas,
        dumpable,
        aios: task.proc.vmas.filter(isRing).map(({ start, end }) => ({
          id: start,
          nrReq: requestsFor(end - start),
          ringLen: Number(end - start),
        })),
        thpDisabled,
      });
      if (extras.length > 0 || Object.values(taskExtra).some((value) => value !== undefined)) {
        session.writer.write(MM_EXTRA, task.pid, { ...taskExtra, vmas: extras });
      }
    },

    async pages(tree) {
      using _ = segments.save(shared, tree.tasks);
      const owners = tree.tasks.filter(ownsMemory);
      writeLater = await writePages(session, tree, owners, pagesOf, shared, copies);
      told.clear();
      if (writeLater === undefined) found.clear();
    },

    async pagesLater() {
      copies.beginGivingBack();
      await writeLater?.();
      found.clear();
    },
  };
}

/** A range with guards, as the image has it: a mapping that is none. */
function guardImage(start: bigint, size: bigint): VmaImage {
  return {
    start,
    end: start + size,
    pgoff: 0n,
    shmid: 0n,
    prot: 0,
    flags: 0,
    status: VMA_AREA_GUARD,
    fd: -1n,
  };
}

/** The name of the memfd that a link of /proc leads to, if it does. */
function memfdName(link: string): string | undefined {
  const { kind, path } = parseFdLink(link);
  return kind === "memfd" ? path : undefined;
}

function surveyExecutable(task: Task, tree: SurveyContext, options: OperationOptions): void {
  // A task of a running tree may end at any moment.
  const problem = unlessGone(() => findExecutableProblem(task.liveTid, options), undefined);
  if (problem !== undefined) tree.problem({ pid: task.pid, ...problem });
}

function findExecutableProblem(
  tid: number,
  options: OperationOptions,
): Omit<Problem, "plugin" | "pid"> | undefined {
  const what = "its executable";
  const link = linkText(tid, "exe", what);
  if (typeof link !== "string") return link?.problem;
  if (memfdName(link) !== undefined) return undefined;
  const found = findFile(`/proc/${tid}/exe`, link, what, options);
  if ("problem" in found) return found.problem;
  return executableProblem(found.behind ?? found.path, found.path);
}

function saveExecutable(
  { pid, liveTid }: Task,
  session: CheckpointSession,
  shared: SharedObjects,
  files: MappedFiles,
): number {
  const link = readTaskFileLink(liveTid, "exe");
  if (link === undefined) {
    throw new StasisError("unsupported", `task ${pid} has no executable`, { pid });
  }
  const exe = `/proc/${liveTid}/exe`;
  const name = memfdName(link);
  if (name !== undefined) return shared.memfdFile(BigInt(statTaskLink(exe).ino), name, exe);
  const meant = statTaskLink(exe);
  const found = findFile(exe, link, "its executable", session.options, factsOf(meant));
  if ("problem" in found) {
    throw new StasisError("unsupported", `task ${pid}: ${found.problem.what}`, { pid });
  }
  const { path, behind } = found;
  const { size, mode, ino } = meant;
  const known = behind === undefined ? BigInt(size) : undefined;
  const contents = files.contentsAt(path, BigInt(ino));
  return session.files.path(path, O_RDONLY, known, mode, behind, contents);
}
