/**
 * Surveys without a checkpoint: what stands against saving the trees of some processes, none of which is touched.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import { ImageWriter } from "../../images/mod.ts";
import type { Cancellation } from "../cancellation.ts";
import { type Hooked, makeSession, orderPlugins, runHook } from "../hooks.ts";
import { sleep } from "../linux/libc_ffi.ts";
import { readComm, unlessGone } from "../linux/procfs/mod.ts";
import type { CheckpointHooks, CheckpointSession, OperationOptions, Plugin } from "../plugin.ts";
import { mappingClaims, onlyClaim } from "./claims.ts";
import { createFileTable } from "./file_table.ts";
import { LinkRemaps } from "./link_remaps.ts";
import { OpenLinks, useOpenLinks } from "./outside_holders.ts";
import { findTree, isSame, survey } from "./survey.ts";

/** What a survey found of the tree of a process. */
export interface Verdict {
  /** The root of the tree. */
  readonly pid: number;
  /** Its name. */
  readonly comm: string;
  /** How many processes its tree has, zombies included; 0 where it cannot be looked at. */
  readonly tasks: number;
  /** How many threads they have together. */
  readonly threads: number;
  /** What stands against a checkpoint; nothing: it can be made, as far as can be seen without touching it. */
  readonly problems: readonly Problem[];
}

/** How often a tree is looked at, at most, whose looks have no problem in common. */
const LOOKS = 4;
/** How long a tree with problems is left alone before it is looked at once more, in milliseconds. */
const PAUSE = 50;

/** What is to be looked at, and how. */
export interface SurveyRequest {
  /** Roots of trees. */
  readonly pids: readonly number[];
  readonly plugins: readonly Plugin[];
  readonly options: OperationOptions;
  readonly cancellation: Cancellation;
}

/**
 * Surveys the trees of some processes. What is read belongs to different moments, so those with problems are looked at
 * again, after all others: a problem counts where two looks in a row find it, or where none agree.
 *
 * @returns in the order of the pids, without those that are gone
 * @throws {StasisError} `cancelled`
 */
export async function surveyOnly(request: SurveyRequest): Promise<Verdict[]> {
  const { pids, cancellation } = request;
  const looks = new Map<number, Verdict>();
  let links = new OpenLinks();
  for (const pid of pids) {
    const verdict = await look(pid, request, links);
    if (verdict !== undefined) looks.set(pid, verdict);
  }
  let doubtful = [...looks.values()].filter(({ problems }) => problems.length > 0);
  for (let again = 1; again < LOOKS && doubtful.length > 0; again++) {
    await sleep(PAUSE);
    links = new OpenLinks();
    const undecided: Verdict[] = [];
    for (const { pid, problems } of doubtful) {
      cancellation.check();
      const verdict = await look(pid, request, links);
      if (verdict === undefined) {
        looks.delete(pid);
        continue;
      }
      const lasting = verdict.problems.filter((one) => problems.some(isSame(one)));
      looks.set(pid, lasting.length > 0 ? { ...verdict, problems: lasting } : verdict);
      // A tree that changes has other problems each time, which is not to have none.
      if (lasting.length === 0 && verdict.problems.length > 0) undecided.push(verdict);
    }
    doubtful = undecided;
  }
  return [...looks.values()];
}

/** One look at a tree, and others where its tasks came and went meanwhile; undefined where the process is gone. */
async function look(
  pid: number,
  request: SurveyRequest,
  links: OpenLinks,
): Promise<Verdict | undefined> {
  for (let looks = 1;; looks++) {
    const verdict = await lookOnce(pid, request, links);
    const comm = verdict === undefined ? unlessGone(() => readComm(pid), undefined) : undefined;
    if (comm === undefined) return verdict;
    if (looks === LOOKS) {
      const problem = {
        pid,
        plugin: "core",
        what: "its tree changed each time that it was looked at",
        hint: "ask again; a checkpoint looks at it when it stands still",
        passing: true,
      };
      return { pid, comm, tasks: 0, threads: 0, problems: [problem] };
    }
    await sleep(PAUSE);
    request.cancellation.check();
  }
}

/** The same, once; undefined where a task of it was gone. */
async function lookOnce(
  pid: number,
  request: SurveyRequest,
  links: OpenLinks,
): Promise<Verdict | undefined> {
  const { options, cancellation } = request;
  const isToEnd = options.leaveRunning !== true;
  let found: Omit<Verdict, "problems"> | undefined;
  try {
    const tasks = findTree(pid, isToEnd);
    found = {
      pid,
      comm: tasks[0]?.stat.comm ?? "",
      tasks: tasks.length,
      threads: tasks.reduce((sum, task) => sum + unlessGone(() => task.threads.length, 0), 0),
    };
    using hooks = new Hooks(request, links);
    await survey(tasks, hooks.list, cancellation, { isToEnd });
    return { ...found, problems: [] };
  } catch (error) {
    if (!(error instanceof StasisError) || error.code === "cancelled") throw error;
    if (error.code === "no-such-task") return undefined;
    const { message: what, hint, plugin = "core" } = error;
    const problems = error.problems.length > 0 ? error.problems : [{ pid, plugin, what, hint }];
    return {
      ...found ?? { pid, comm: unlessGone(() => readComm(pid), ""), tasks: 0, threads: 0 },
      problems,
    };
  }
}

/** The hooks of all plugins for one look: what they remember is of one tree. */
class Hooks implements Disposable {
  readonly list: Hooked<CheckpointHooks>[] = [];
  readonly #resources = new DisposableStack();

  constructor({ plugins, options, cancellation }: SurveyRequest, links: OpenLinks) {
    const writer = this.#resources.use(ImageWriter.createNothing());
    useOpenLinks(writer, links);
    const files = createFileTable(writer, this.#resources.use(new LinkRemaps(() => {})));
    const mappingDumper: CheckpointSession["mappingDumper"] = (vma, task) =>
      onlyClaim(mappingClaims(vma, task, this.list), `a mapping of task ${task.pid}`).offered;
    for (const plugin of orderPlugins(plugins)) {
      const session: CheckpointSession = {
        ...makeSession(plugin, () => {}, cancellation, { ...options }),
        writer,
        files,
        inventory: {},
        requirePlugin: () => {},
        problem: () => {},
        mappingDumper,
      };
      const hooks = runHook(plugin, () => plugin.checkpoint?.(session) ?? {});
      this.list.push({ plugin, hooks });
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
