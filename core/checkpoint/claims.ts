/**
 * Claims: for each descriptor and each mapping exactly one plugin must say that it saves it.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { type Hooked, type Offer, Offers, runHook } from "../hooks.ts";
import { mappingKind, type Vma } from "../linux/procfs/mod.ts";
import type { CheckpointHooks, DescriptorDumper, MappingDumper } from "../plugin.ts";
import type { Descriptor, Task } from "./task.ts";
import { hintFor } from "./unclaimed.ts";

const DESCRIPTORS = new Offers<CheckpointHooks, DescriptorDumper>((hooks) => hooks.descriptors);
const MAPPINGS = new Offers<CheckpointHooks, MappingDumper>((hooks) => hooks.mappings);

/** All dumpers that claim a descriptor. */
export function descriptorClaims(
  descriptor: Descriptor,
  task: Task,
  plugins: readonly Hooked<CheckpointHooks>[],
): Offer<DescriptorDumper>[] {
  return DESCRIPTORS.ask(plugins, (dumper) => dumper.claims(descriptor, task));
}

/** All dumpers that claim a mapping. */
export function mappingClaims(
  vma: Vma,
  task: Task,
  plugins: readonly Hooked<CheckpointHooks>[],
): Offer<MappingDumper>[] {
  return MAPPINGS.ask(plugins, (dumper) => dumper.claims(vma, task));
}

/** The one claim, or an error: for after the survey, which has seen that there is exactly one. */
export function onlyClaim<Dumper>(claims: readonly Offer<Dumper>[], what: string): Offer<Dumper> {
  const [claim, second] = claims;
  if (claim !== undefined && second === undefined) return claim;
  throw new StasisError("internal", `${what} is claimed by ${names(claims) || "no plugin"}`);
}

function names(claims: readonly Offer<unknown>[]): string {
  return claims.map(({ plugin }) => plugin.name).join(" and ");
}

/** What of a task nobody claims, or two do, or its claimer cannot save. */
export function findClaims(
  task: Task,
  plugins: readonly Hooked<CheckpointHooks>[],
  cancellation: Cancellation,
): Problem[] {
  const problems: Problem[] = [];
  const { pid } = task;
  for (const descriptor of task.descriptors) {
    cancellation.check();
    const what = (): string => `descriptor ${descriptor.fd} (${describe(descriptor)})`;
    const own: Problem[] = [];
    judge(
      descriptorClaims(descriptor, task, plugins),
      what,
      descriptor.link.text,
      pid,
      own,
      (dumper) => dumper.survey?.(descriptor, task),
    );
    problems.push(...descriptor.isInFlight ? own.map(inQueue) : own);
  }
  for (const [index, vma] of task.vmas.entries()) {
    // What is asked of a file may take its time; of other memory nothing is.
    if (vma.inode !== 0n || index % 64 === 0) cancellation.check();
    const what = (): string => {
      const range = `${vma.start.toString(16)}-${vma.end.toString(16)}`;
      return `mapping ${range} (${vma.name || mappingKind(vma)})`;
    };
    judge(
      mappingClaims(vma, task, plugins),
      what,
      vma.name,
      pid,
      problems,
      (dumper) => dumper.survey?.(vma, task),
    );
  }
  return problems;
}

/** A problem of a descriptor in flight, whose number is none of the task's. */
function inQueue({ what, ...problem }: Problem): Problem {
  const told = what.replace(/descriptor \d+/, "descriptor in flight (SCM_RIGHTS)");
  return { ...problem, what: told };
}

/** What a descriptor leads to; of a socket also which protocol it speaks. */
function describe(descriptor: Descriptor): string {
  const { text } = descriptor.link;
  return descriptor.socketProtocol === undefined ? text : `${text}, ${descriptor.socketProtocol}`;
}

function judge<Dumper>(
  claims: readonly Offer<Dumper>[],
  what: () => string,
  name: string,
  pid: number,
  problems: Problem[],
  survey: (dumper: Dumper) => Omit<Problem, "plugin" | "pid"> | undefined,
): void {
  const [claim, second] = claims;
  if (claim === undefined) {
    problems.push({
      pid,
      plugin: "core",
      what: `no plugin saves its ${what()}`,
      hint: hintFor(name),
    });
  } else if (second !== undefined) {
    problems.push({
      pid,
      plugin: "core",
      what: `its ${what()} is claimed by two plugins: ${names(claims)}`,
      hint: "leave one of them out",
    });
  } else {
    const problem = runHook(claim.plugin, () => survey(claim.offered));
    if (problem !== undefined) problems.push({ pid, plugin: claim.plugin.name, ...problem });
  }
}
