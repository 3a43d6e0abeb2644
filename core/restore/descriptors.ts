/**
 * Planning descriptors. Each open file description is created once, in its home task, under a staging
 * number that no task uses itself (stages "open" and "meet"). Then every task puts its descriptors where they belong:
 * its own by dup3(2), those of other tasks through pidfd_getfd(2) (stage "share").
 *
 * @module
 */
import type { fdinfo_entry, file_entry } from "../../images/gen/descriptors_pb.ts";
import { IDS } from "../../images/kinds/core.ts";
import { FDINFO } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { Offers, runHook } from "../hooks.ts";
import type { DescriptorPlanner, Plugin, RestoreHooks } from "../plugin.ts";
import type { CallResult } from "../remote/program.ts";
import { commonPart, planAsync, planOwner } from "./owner.ts";
import type { RestorePlan } from "./plan.ts";
import type { PlannedTask } from "./planned_task.ts";
import { validateDescriptors } from "../../images/validate_files.ts";

const O_CLOEXEC = 0o2000000;
const FD_CLOEXEC = 1;

/** A description to create. */
interface Description {
  readonly file: file_entry;
  readonly plugin: Plugin;
  readonly planner: DescriptorPlanner;
  /** The first task that has it, or has what holds it. */
  readonly first: PlannedTask;
  /** The ids of those that it holds. */
  readonly held: readonly number[];
  home: PlannedTask | "seed";
  /** The staging number in its home, or its service number. */
  number: number;
}

/** The descriptor table of a task, as the images have it, by ascending numbers. */
export function readDescriptors(images: ImageDirectory, pid: number): readonly fdinfo_entry[] {
  const id = images.has(IDS, pid) ? images.read(IDS, pid).filesId : pid;
  const table = images.has(FDINFO, id) ? images.readList(FDINFO, id) : [];
  validateDescriptors(table, images.pathOf(FDINFO, id));
  return [...table].sort((a, b) => a.fd - b.fd);
}

/** A descriptor table. */
interface Table {
  /** By ascending numbers. */
  readonly entries: readonly fdinfo_entry[];
  readonly byNumber: ReadonlyMap<number, fdinfo_entry>;
  /** The lowest number of each description, by its id. */
  readonly numberOf: ReadonlyMap<number, number>;
}

function tableOf(entries: readonly fdinfo_entry[]): Table {
  const numberOf = new Map<number, number>();
  for (const { id, fd } of entries) if (!numberOf.has(id)) numberOf.set(id, fd);
  return { entries, byNumber: new Map(entries.map((entry) => [entry.fd, entry])), numberOf };
}

const NO_TABLE = tableOf([]);

/** Plans the descriptors of all tasks. @param cancellation is asked for each of them */
export function planDescriptors(plan: RestorePlan, cancellation: Cancellation): void {
  const tables = new Map<PlannedTask, Table>();
  for (const task of plan.tasks) {
    if (task.filesOwner !== task.pid) continue;
    tables.set(task, tableOf(readDescriptors(plan.images, task.pid)));
  }
  const descriptions = findDescriptions(plan, tables);
  const staging = numberThem(plan, descriptions.values());
  for (const description of descriptions.values()) {
    cancellation.check();
    create(plan, description);
  }
  const held = heldIn(descriptions.values());
  const numbers = new Map<PlannedTask, ReadonlyMap<number, number>>();
  for (const [task, { entries }] of tables) {
    cancellation.check();
    numbers.set(task, share(task, entries, held.get(task) ?? [], descriptions, staging));
  }
  for (const description of descriptions.values()) {
    cancellation.check();
    connect(description, tables, numbers);
  }
  closeServices(plan);
}

/** Has the last task of each table close the service descriptors: the others need them until then. */
function closeServices({ tasks, services }: RestorePlan): void {
  const last = new Map(tasks.map((task) => [task.filesOwner, task]));
  for (const task of last.values()) {
    task.program("close").call("close_range", services.first, services.end - 1, 0);
  }
}

function findDescriptions(
  plan: RestorePlan,
  tables: ReadonlyMap<PlannedTask, Table>,
): Map<number, Description> {
  const found = new Map<number, Description>();
  for (const [task, { entries }] of tables) {
    for (const { id, fd } of entries) {
      if (!found.has(id)) found.set(id, describe(plan, id, task, `descriptor ${fd}`));
    }
  }
  // A map goes on with what is added meanwhile: what those hold that are held.
  for (const { first, held } of found.values()) {
    for (const id of held) {
      if (!found.has(id)) found.set(id, describe(plan, id, first, "a descriptor in flight"));
    }
  }
  for (const description of found.values()) {
    const { plugin, planner, file, first } = description;
    description.home = runHook(plugin, () => planner.home?.(file, first)) as PlannedTask ?? first;
  }
  return found;
}

/** @param what how a task has it, for an error */
function describe(plan: RestorePlan, id: number, first: PlannedTask, what: string): Description {
  const file = plan.files.get(id);
  const { plugin, offered: planner } = findPlanner(plan, file, first.pid, what);
  const held = [...runHook(plugin, () => planner.holds?.(file)) ?? []];
  return { file, plugin, planner, first, held, home: first, number: -1 };
}

/** What is held by descriptions that have their home in a task. */
function heldIn(descriptions: Iterable<Description>): Map<PlannedTask, readonly number[]> {
  const all = new Map<PlannedTask, number[]>();
  for (const { home, first, held } of descriptions) {
    if (held.length === 0) continue;
    const task = home === "seed" ? first : home;
    const ids = all.get(task);
    if (ids === undefined) all.set(task, [...held]);
    else for (const id of held) ids.push(id);
  }
  return all;
}

const PLANNERS = new Offers<RestoreHooks, DescriptorPlanner>((hooks) => hooks.descriptors);

function findPlanner(plan: RestorePlan, file: file_entry, pid: number, what: string) {
  const found = PLANNERS.ask(plan.plugins, (planner) => planner.restores(file));
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  const who = found.map(({ plugin }) => plugin.name).join(" and ") || "no plugin";
  throw new StasisError(
    "unsupported",
    `${what} of task ${pid} (file ${file.id}) is restored by ${who}`,
    {
      pid,
      hint: first === undefined
        ? "name the plugin that saved it with --plugin"
        : "leave one of the plugins out",
    },
  );
}

/** Hands out numbers behind all service numbers, in each task by itself. */
class Staging {
  readonly #next = new Map<PlannedTask, number>();
  readonly #plan: RestorePlan;
  readonly #first: number;

  constructor(plan: RestorePlan) {
    this.#plan = plan;
    this.#first = plan.service();
  }

  number(task: PlannedTask): number {
    const number = this.#next.get(task) ?? this.#first;
    this.#next.set(task, number + 1);
    return this.#plan.asService(number);
  }
}

function numberThem(plan: RestorePlan, descriptions: Iterable<Description>): Staging {
  const all = [...descriptions];
  for (const one of all) if (one.home === "seed") one.number = plan.service();
  const staging = new Staging(plan);
  for (const one of all) if (one.home !== "seed") one.number = staging.number(one.home);
  return staging;
}

function create(plan: RestorePlan, { file, plugin, planner, home, number }: Description): void {
  const stage = runHook(plugin, () => planner.meets?.(file)) ? "meet" : "open";
  const program = home === "seed" ? plan.seed : home.program(stage);
  const task = home === "seed" ? undefined : home;
  const fd = runHook(plugin, () => planner.plan({ file, home: task, program, tree: plan }));
  program.call("dup3", fd, number, task === undefined ? 0 : O_CLOEXEC);
  // A service descriptor stays for others that need it; what was just opened is not needed twice.
  if (typeof fd !== "number") program.call("close", fd);
}

/**
 * Gives a task its descriptors, and numbers to what its own descriptions hold.
 *
 * @param held the ids of the latter
 * @returns their numbers
 */
function share(
  task: PlannedTask,
  table: readonly fdinfo_entry[],
  held: readonly number[],
  descriptions: ReadonlyMap<number, Description>,
  staging: Staging,
): ReadonlyMap<number, number> {
  const program = task.program("share");
  const pidfds = new Map<number, number>();
  const fetched = new Map<number, number>();
  /** Moves a descriptor out of the way of the numbers that the task's own ones get. */
  const moved = (fd: CallResult): number => {
    const number = staging.number(task);
    program.call("dup3", fd, number, O_CLOEXEC);
    program.call("close", fd);
    return number;
  };
  /** A number of the description that is not to stay. */
  const numberOf = (id: number): number => {
    const { home, number } = descriptions.get(id) as Description;
    if (home === "seed" || home === task) return number;
    let kept = fetched.get(id);
    if (kept === undefined) {
      let pidfd = pidfds.get(home.pid);
      if (pidfd === undefined) {
        pidfd = moved(program.call("pidfd_open", home.pid, 0));
        pidfds.set(home.pid, pidfd);
      }
      kept = moved(program.call("pidfd_getfd", pidfd, number, 0));
      fetched.set(id, kept);
    }
    return kept;
  };
  for (const { id, fd, flags } of table) {
    program.call("dup3", numberOf(id), fd, (flags & FD_CLOEXEC) !== 0 ? O_CLOEXEC : 0);
  }
  return new Map(held.map((id) => [id, numberOf(id)]));
}

function connect(
  { file, plugin, planner, home, first, number }: Description,
  tables: ReadonlyMap<PlannedTask, Table>,
  numbers: ReadonlyMap<PlannedTask, ReadonlyMap<number, number>>,
): void {
  const task = home === "seed" ? first : home;
  const program = task.program("connect");
  const own = tables.get(first)?.numberOf.get(file.id);
  // What no task has is there under the number of its home until the stage "close".
  if (own === undefined) planSignals(file, task, number);
  else planSignals(file, first, own);
  if (planner.connect === undefined) return;
  const { byNumber: descriptors, numberOf: lowest } = tables.get(task) ?? NO_TABLE;
  const numberOf = (id: number): number => {
    const found = numbers.get(task)?.get(id);
    if (found !== undefined) return found;
    throw new StasisError(
      "bad-image",
      `the images have file ${id} within one that no task has, nor anything that a task has holds`,
      { hint: "they were changed or written by something else: make the checkpoint again" },
    );
  };
  runHook(
    plugin,
    () =>
      planner.connect?.({
        file,
        program,
        home: task,
        fd: number,
        number: lowest.get(file.id),
        descriptors,
        numberOf,
      }),
  );
}

/**
 * Plans who is signalled when a description is ready, in a task that has it, by a number that it has there,
 * and not before all threads exist: one may be the owner.
 */
function planSignals(file: file_entry, task: PlannedTask, fd: number): void {
  const part = commonPart(file, task.files);
  if (part === undefined) return;
  const program = task.program("task");
  if (part.fown !== undefined) planOwner(program, fd, part.fown);
  planAsync(program, fd, part.flags ?? 0);
}
